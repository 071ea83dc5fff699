"""Watching one job: every change of its status, and a bell that rings when there may be another."""

import asyncio
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Final, Protocol

from shared.domain.job import Job, JobStatus

MICROSECONDS: Final = 1_000_000
"""In a second."""


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A job got another status. at_us: microseconds since the epoch by the store's clock; each of a job has its own."""

    at_us: int
    status: JobStatus


@dataclass(frozen=True, slots=True)
class WatchedJob:
    """A job, and how it came to its status: the changes in their order, the last one being what it is now.

    Of a job that was taken and let go without an attempt nothing remains, so a change that was seen may be gone later.
    None at all: its publish is not confirmed yet.
    """

    job: Job
    changes: tuple[StatusChange, ...]

    def changes_after(self, last_us: int | None) -> tuple[StatusChange, ...]:
        """Give the changes that somebody has not seen whose last one was at ``last_us``; None: who has seen none.

        If that one was taken back and nothing came after it, it is the change before it that counts again.
        """
        if last_us is None:
            return self.changes
        later = tuple(change for change in self.changes if change.at_us > last_us)
        if later or any(change.at_us == last_us for change in self.changes):
            return later
        return self.changes[-1:]

    def as_of(self, change: StatusChange) -> Job:
        """Give the job as it was at one of its changes. What it ended with belongs to the last one."""
        if change == self.changes[-1]:
            return self.job
        started_at = self.job.started_at
        return replace(
            self.job,
            status=change.status,
            attempts=tuple(attempt for attempt in self.job.attempts if _us(attempt.ended_at) <= change.at_us),
            started_at=None if started_at is None or _us(started_at) > change.at_us else started_at,
            finished_at=None,
            outcome=None,
            sequence=None,
        )


class JobWatch(Protocol):
    """The port to single jobs' changes. However many are watched, it takes one connection, and asks nobody in vain."""

    async def look(self, team: str, job_id: str) -> WatchedJob | None:
        """Give a job with its changes; None: this team has none by that id. Raises ``StoreUnavailable``."""
        ...

    def watching(self, team: str, job_id: str) -> AbstractContextManager[asyncio.Event]:
        """Lend a bell, for as long as the block lasts; whoever hears it stops it (``clear``), and looks then.

        It rings when the job's status has changed, and each time that the watch begins (soon, and after the
        connection was lost): what happened before may have been missed. It may ring for nothing.
        """
        ...


def _us(moment: float) -> int:
    return round(moment * MICROSECONDS)
