"""The port by which jobs come into the records, for the first time or anew, until the broker has their messages.

Every operation is atomic and may be repeated after a lost reply without doing anything twice.
All of them raise ``StoreUnavailable`` when the server cannot be reached in time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from shared.domain.job import Job, JobSpec, JobStatus, Outcome
from shared.domain.lanes import JobClass
from shared.domain.notices import Notice


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's key, and the digest of the body it came with."""

    key: str
    body_digest: str


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be recorded.

    message: the encoded envelope, kept until the publish is confirmed, so that a stranded job can be published.
    outcome: set when the job is finished at once, by a cached answer; then ``message`` is not kept.
    counted_in: the class in whose backlog of its team the job counts until it is final; None, or with an outcome: in none.
    """

    spec: JobSpec
    message: bytes
    idempotency: IdempotencyKey | None = None
    outcome: Outcome | None = None
    counted_in: JobClass | None = None


class Acceptance(StrEnum):
    """What ``accept`` found."""

    NEW = "new"
    REPEATED = "repeated"
    """The same idempotency key and body: ``Accepted.job_id`` is the first one's."""
    CONFLICT = "conflict"
    """The same idempotency key with another body."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to one ``NewJob``.

    status: that of the job named, so a repeat knows what is left to do.
    backlog: the team's unfinished jobs in the lane and the class that the job counts in, itself included; 0: in none.
    notices: of a job that was finished at once; to be published.
    """

    acceptance: Acceptance
    job_id: str
    status: JobStatus
    backlog: int = 0
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class Stranded:
    """A job whose publish was never confirmed."""

    team: str
    job_id: str
    message: bytes


class JobIntake(Protocol):
    """The jobs' records, as whoever lets jobs in needs them."""

    async def accept(self, jobs: Sequence[NewJob]) -> list[Accepted]:
        """Record new jobs as ``accepted`` (or finished, if they have an outcome), each atomically, in order."""
        ...

    async def earlier(self, team: str, key: IdempotencyKey) -> Accepted | None:
        """Give what ``accept`` would find of an idempotency key, without its backlog; None: it was not used yet."""
        ...

    async def mark_queued(self, team: str, specs: Sequence[JobSpec]) -> None:
        """Note that the publishes were confirmed: ``accepted`` becomes ``queued``, or ``scheduled`` with a ``run_at``."""
        ...

    async def withdraw(self, team: str, job_id: str) -> Job | None:
        """Cancel a job, if it is not final, that its client was told was not accepted.

        Nobody is told of its end, and no listing and no batch shows it; its message, should there be one, runs nothing.
        """
        ...

    async def revive(self, spec: JobSpec, message: bytes) -> JobStatus | None:
        """Let a failed job begin anew as ``accepted``, with ``spec``; any other is left alone. Give its status then.

        None: there is no record; a claim makes it. ``message`` is kept until ``mark_queued``, as ``accept`` does. The
        attempts stay in the job's history and count no more, nor do lost workers; an earlier fence is refused. In its
        batch the job is unfinished again, and so is the batch.
        """
        ...

    async def stranded(self, older_than_s: float, limit: int) -> Sequence[Stranded]:
        """Give jobs that have been ``accepted`` for longer than that many seconds, of all teams."""
        ...
