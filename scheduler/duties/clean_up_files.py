"""Remove the files that nobody needs any more: of jobs whose records are gone, and what a crash left over.

A firing goes on, day by day, where the last one ended, until it is through or its time is over. So old days, of which
nothing may be needed, go first.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final

from shared.domain.clock import Clock
from shared.domain.files import Files, FoundFile
from shared.domain.job import Job, JobStatus
from shared.domain.job_files import REQUESTS, RESULTS, JobFile
from shared.domain.job_lookup import JobLookup

AT_ONCE: Final = 5_000
"""Files of a listing. Each costs a look at the whole day where that is a local folder, and they must fit into memory."""

BUDGET_S: Final = 60.0
"""Seconds after which a firing begins no further listing; the next firing goes on behind it."""

READ_AT_ONCE: Final = 200
"""Records that are asked for together."""

REMOVED_AT_ONCE: Final = 16

UNRECORDED_S: Final = 86_400.0
"""Seconds that a result is kept which no record names: it may be about to be recorded."""


@dataclass(frozen=True, slots=True)
class FileShelf:
    """Where files lie and who knows about them.

    records: shows where a response lies, and does not read it.
    kept_s: seconds, from the end of a file's day, that a request is kept whose record is gone: its message may still
        wait, or lie among the dead letters.
    """

    records: JobLookup
    files: Files
    kept_s: float


class CleanUpFiles:
    """A duty. Running it twice at once does no harm: a file is removed only when nobody will ask for it."""

    def __init__(self, shelf: FileShelf, clock: Clock, budget_s: float = BUDGET_S) -> None:
        """Begin with the first file. ``budget_s``: seconds that one firing takes."""
        self._shelf = shelf
        self._clock = clock
        self._budget_s = budget_s
        self._walks = {folder: _Walk(shelf.files, folder) for folder in (REQUESTS, RESULTS)}
        self._removals = asyncio.Semaphore(REMOVED_AT_ONCE)

    async def __call__(self) -> int:
        """Do it; give the number of files removed. Raises ``Unavailable``."""
        ends_at = self._clock.monotonic() + self._budget_s
        removed, walks = 0, list(self._walks.values())
        while walks:
            for walk in tuple(walks):
                page = await walk.next_page()
                if page is None:
                    walks.remove(walk)
                else:
                    removed += await self._clean_up(page)
            if self._clock.monotonic() >= ends_at:
                break
        return removed

    async def _clean_up(self, page: Sequence[FoundFile]) -> int:
        removed = 0
        for start in range(0, len(page), READ_AT_ONCE):
            some = page[start : start + READ_AT_ONCE]
            judged = await asyncio.gather(*map(self._is_left_over, some))  # the store reads them in one round trip
            left_over = [found for found, is_left in zip(some, judged, strict=True) if is_left]
            await asyncio.gather(*map(self._remove, left_over))
            removed += len(left_over)
        return removed

    async def _remove(self, found: FoundFile) -> None:
        async with self._removals:
            await self._shelf.files.delete(found.path)

    async def _is_left_over(self, found: FoundFile) -> bool:
        file = JobFile.read(found.path)
        if file is None:
            return False
        job = await self._shelf.records.get(file.team, file.job_id)
        if file.fence is not None:
            return _names_another_result(job, found) or (job is None and self._age_s(found) > UNRECORDED_S)
        if job is None:
            return self._seconds_since(file) > self._shelf.kept_s
        return job.status.is_final and job.status is not JobStatus.FAILED

    def _age_s(self, found: FoundFile) -> float:
        return self._clock.now() - found.modified_at

    def _seconds_since(self, file: JobFile) -> float:
        """Give the seconds since the end of the file's day."""
        end = datetime.combine(file.day + timedelta(days=1), time(), UTC)
        return self._clock.now() - end.timestamp()


class _Walk:
    """Goes through the files of one kind, again and again, and keeps its place."""

    def __init__(self, files: Files, root: str) -> None:
        self._files = files
        self._root = root
        self._days: deque[str] | None = None
        self._after: str | None = None

    async def next_page(self) -> Sequence[FoundFile] | None:
        """Give the next files, maybe none; None: it is through, and begins anew."""
        if self._days is None:
            self._days = deque(await self._files.folders(self._root))
        if not self._days:
            self._days = None
            return None
        found = await self._files.list(self._days[0], self._after, AT_ONCE)
        if len(found) == AT_ONCE:
            self._after = found[-1].path
        else:
            self._days.popleft()
            self._after = None
        return found


def _names_another_result(job: Job | None, found: FoundFile) -> bool:
    if job is None or not job.status.is_final:
        return False
    named = job.outcome.response_file if job.outcome else None
    return named is None or named.path != found.path
