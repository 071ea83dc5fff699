"""The port to what must happen to jobs though nobody takes them: they expire, and they are forgotten.

All of it is by the store's own clock, of all teams, bounded, and raises ``StoreUnavailable``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from shared.domain.job import Job, JobStatus
from shared.domain.job_intake import Stranded
from shared.domain.notices import Notice

LONG_OVERDUE_S: Final = 600.0
"""Seconds after its deadline at which even a running job is taken from its worker, who should have ended it long ago."""

CLOSE_S: Final = 3600.0
CLOSE_SHARE: Final = 0.1
"""A deadline is close when a tenth of a job's time is left, and an hour at most."""


BATCH_LEASE_S: Final = 120.0
"""Seconds a batch stays open after its upload opened it last; after that nobody goes on with it."""


@dataclass(frozen=True, slots=True)
class ExpiredJob:
    """A job that was just ended. ``notices``: to be published."""

    job: Job
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class SealedBatch:
    """A batch that was just closed. ``notices``: to be published, if it was finished by that."""

    team: str
    batch_id: str
    notices: tuple[Notice, ...] = ()


def is_close(job: Job, now: float) -> bool:
    """Whether an unfinished job waits although its deadline is close."""
    spec = job.spec
    if spec.deadline is None or job.status.is_final or job.status is JobStatus.RUNNING:
        return False
    time_it_had = spec.deadline - spec.starts_at(spec.created_at)
    return spec.deadline - now <= min(CLOSE_S, CLOSE_SHARE * time_it_had)


class JobUpkeep(Protocol):
    """The jobs' records, as the scheduler's duties need them."""

    async def expire(self, most: int, long_overdue_s: float = LONG_OVERDUE_S) -> list[ExpiredJob]:
        """End jobs whose deadline is over, at most so many; those that run only after ``long_overdue_s`` seconds.

        Each ends in one step, like one that is cancelled: whoever runs it, or takes its message later, is too late.
        """
        ...

    async def close_to_deadline(self, within_s: float, most: int) -> Sequence[Job]:
        """Give unfinished jobs whose deadline comes within that many seconds, at most so many."""
        ...

    async def forget(self, most: int) -> int:
        """Take jobs whose retention is over out of the listings, about so many; give how many those were.

        Their records end by themselves; a team whose jobs end one after the other needs no such help.
        """
        ...

    async def pass_over(self, jobs: Sequence[Stranded]) -> None:
        """Send stranded jobs that cannot be published behind the others, as if they had been accepted just now."""
        ...

    async def seal(self, most: int, lease_s: float = BATCH_LEASE_S) -> list[SealedBatch]:
        """Close open batches that nobody opened (again) for ``lease_s`` seconds, at most so many.

        Each in one step, so that one whose upload goes on just then stays open.
        """
        ...
