"""The port by which jobs are read. All of it raises ``StoreUnavailable`` when the server cannot be reached in time."""

from dataclasses import dataclass
from typing import Protocol

from shared.domain.job import Job, JobStatus
from shared.domain.lanes import Priority


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs to list; None: all."""

    status: JobStatus | None = None
    priority: Priority | None = None
    batch_id: str | None = None


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some jobs, newest first. ``next_after``: pass it as ``after`` for the next page; None: there is none."""

    jobs: tuple[Job, ...]
    next_after: str | None


class JobLookup(Protocol):
    """The jobs' records, as whoever only reads them needs them."""

    async def get(self, team: str, job_id: str) -> Job | None:
        """Give a job; None: this team has none by that id."""
        ...

    async def list(self, team: str, job_filter: JobFilter, after: str | None, limit: int) -> JobPage:
        """Give a page of jobs older than ``after``, newest first, at most ``limit``.

        A page may be shorter than ``limit``, even empty, though older jobs match: ``next_after`` tells.
        """
        ...
