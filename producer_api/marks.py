"""Noting on the jobs' records that the broker has their messages.

No promise hangs on it: whoever claims a job, or the repair of stranded jobs, puts its record right. But a repeat with the
same idempotency key publishes again what is not marked.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from shared.domain.clock import Clock
from shared.domain.errors import StoreUnavailable
from shared.domain.job import JobSpec
from shared.domain.job_intake import JobIntake

LATER_S: Final = 1.0
"""Seconds after which most jobs that somebody waits for were claimed, and there is nothing left to write."""


class Marks:
    """Marks jobs as queued."""

    def __init__(self, store: JobIntake, clock: Clock) -> None:
        """``store`` keeps the records."""
        self._store = store
        self._clock = clock
        self._later: set[asyncio.Task[None]] = set()

    async def mark(self, team: str, specs: Sequence[JobSpec]) -> None:
        """Mark jobs of a team now."""
        if specs:
            with suppress(StoreUnavailable):
                await self._store.mark_queued(team, specs)

    def mark_later(self, team: str, specs: Sequence[JobSpec]) -> None:
        """Mark jobs of a team in a while: at once, the write would hold up their worker's claim, and the first piece."""
        if specs:
            marking = asyncio.create_task(self._mark_after_a_while(team, specs))
            self._later.add(marking)
            marking.add_done_callback(self._later.discard)

    async def _mark_after_a_while(self, team: str, specs: Sequence[JobSpec]) -> None:
        await self._clock.sleep(LATER_S)
        await self.mark(team, specs)
