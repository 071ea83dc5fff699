"""Remove the files that nobody needs any more: of jobs whose records are gone, and what a crash left over."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final

from shared.domain.clock import Clock
from shared.domain.files import Files, FoundFile
from shared.domain.job import Job, JobStatus
from shared.domain.job_files import REQUESTS, RESULTS, JobFile
from shared.domain.job_store import JobStore

AT_ONCE: Final = 500
"""Files of each folder that one firing looks at; the next one goes on behind them."""

UNRECORDED_S: Final = 86_400.0
"""Seconds that a result is kept which no record names: it may be about to be recorded."""


@dataclass(frozen=True, slots=True)
class FileShelf:
    """Where files lie and who knows about them.

    records: shows where a response lies, and does not read it.
    kept_s: seconds, from the end of a file's day, that a request is kept whose record is gone: its message may still
        wait, or lie among the dead letters.
    """

    records: JobStore
    files: Files
    kept_s: float


class CleanUpFiles:
    """A duty. Running it twice at once does no harm: a file is removed only when nobody will ask for it."""

    def __init__(self, shelf: FileShelf, clock: Clock) -> None:
        """Begin with the first file."""
        self._shelf = shelf
        self._clock = clock
        self._after: dict[str, str | None] = {REQUESTS: None, RESULTS: None}

    async def __call__(self) -> int:
        """Do it; give the number of files removed. Raises ``Unavailable``."""
        return sum([await self._look_through(folder) for folder in (REQUESTS, RESULTS)])

    async def _look_through(self, folder: str) -> int:
        removed = 0
        found = await self._shelf.files.list(folder, self._after[folder], AT_ONCE)
        for each in found:
            if await self._is_left_over(each):
                await self._shelf.files.delete(each.path)
                removed += 1
        self._after[folder] = found[-1].path if len(found) == AT_ONCE else None
        return removed

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


def _names_another_result(job: Job | None, found: FoundFile) -> bool:
    if job is None or not job.status.is_final:
        return False
    named = job.outcome.response_file if job.outcome else None
    return named is None or named.path != found.path
