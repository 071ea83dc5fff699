"""Reads jobs with their responses, and keeps no hand busy with a file store that is away."""

import asyncio
from typing import Final

from shared.domain.clock import Clock
from shared.domain.errors import FilesUnavailable
from shared.domain.job import Job
from shared.domain.job_lookup import JobLookup

AWAY_S: Final = 5.0
"""Seconds for which a file store that could not be reached is not asked again."""

READS_AT_ONCE: Final = 8
"""As many as the store of whole jobs makes; who waits here learns at once when the file store turns out to be away."""


class WholeJobReader:
    """Gives jobs as ``GET`` shows them."""

    def __init__(self, records: JobLookup, whole: JobLookup, clock: Clock) -> None:
        """``records``: shows where a response lies, and does not read it. ``whole``: reads it."""
        self._records = records
        self._whole = whole
        self._clock = clock
        self._turns = asyncio.Semaphore(READS_AT_ONCE)
        self._away_until = clock.monotonic()

    async def get(self, team: str, job_id: str) -> Job | None:
        """Give a job; None: it is not kept. Raises ``FilesUnavailable``, ``StoreUnavailable``."""
        job = await self._records.get(team, job_id)
        if job is None or job.outcome is None or job.outcome.response_file is None:
            return job
        async with self._turns:
            if self._clock.monotonic() < self._away_until:
                raise FilesUnavailable
            try:
                return await self._whole.get(team, job_id)
            except FilesUnavailable:
                self._away_until = self._clock.monotonic() + AWAY_S
                raise
