"""The port to the jobs' records. One adapter keeps it, for every server that speaks the Redis protocol.

Every operation is atomic and may be repeated after a lost reply without doing anything twice.
All of them raise ``StoreUnavailable`` when the server cannot be reached in time.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from shared.domain.broken_runs import BrokenRuns
from shared.domain.callbacks import ReplyReport
from shared.domain.job import Attempt, Job, JobSpec, JobStatus, Outcome
from shared.domain.lanes import JobClass, Priority
from shared.domain.notices import Notice

DEFAULT_RETENTION_S: Final = 7 * 86_400.0
"""Seconds a finished job is kept: longer than the last webhook attempt (75.6 h) may take."""


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
class Finish:
    """The answer to ``finish``; it is true if the job has this outcome.

    is_ours: False: the fence is stale. notices: to be published before the message is acknowledged.
    """

    is_ours: bool
    notices: tuple[Notice, ...] = ()

    def __bool__(self) -> bool:
        """Whether the job has this outcome."""
        return self.is_ours


class ClaimResult(StrEnum):
    """What a claim found."""

    GRANTED = "granted"
    FINISHED = "finished"
    """The job has its final status (cancelled and expired included): only the message is left over."""
    HELD = "held"
    """Another worker runs it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a claim.

    fence: the token of the attempt; grows with every grant. ``finish`` and ``release`` refuse an older one.
    holder: the worker that holds the job (``HELD``: another one; ``GRANTED``: the caller).
    starts: grants so far, this one included. lost: holders that were gone before they ended what they had begun.
    attempts: all that came to an end; a run may make several.
    """

    result: ClaimResult
    fence: int = 0
    holder: str = ""
    starts: int = 0
    lost: int = 0
    attempts: tuple[Attempt, ...] = ()


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


@dataclass(frozen=True, slots=True)
class Batch:
    """The progress of a batch.

    is_open: its lines are still coming in, so ``total`` may grow.
    webhook: a URL that gets an event when it is finished, beside the team's endpoints.
    sequence: of that event among all of the team; rises with time.
    reopened: how often it was finished before: an upload that was cut went on, or a job began anew.
    """

    id: str
    team: str
    endpoint: str | None
    created_at: float
    is_open: bool
    total: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0
    finished_at: float | None = None
    webhook: str | None = None
    sequence: int | None = None
    reopened: int = 0

    @property
    def finished(self) -> int:
        """Jobs with a final status."""
        return self.succeeded + self.failed + self.cancelled + self.expired


@dataclass(frozen=True, slots=True)
class Stranded:
    """A job whose publish was never confirmed."""

    team: str
    job_id: str
    message: bytes


class JobStore(BrokenRuns, Protocol):
    """The jobs' records."""

    async def accept(self, jobs: Sequence[NewJob]) -> list[Accepted]:
        """Record new jobs as ``accepted`` (or finished, if they have an outcome), each atomically, in order."""
        ...

    async def earlier(self, team: str, key: IdempotencyKey) -> Accepted | None:
        """Give what ``accept`` would find of an idempotency key, without its backlog; None: it was not used yet."""
        ...

    async def mark_queued(self, team: str, specs: Sequence[JobSpec]) -> None:
        """Note that the publishes were confirmed: ``accepted`` becomes ``queued``, or ``scheduled`` with a ``run_at``."""
        ...

    async def claim(
        self, spec: JobSpec, worker: str, *, instead_of: str | None = None, holder_lives: bool = False
    ) -> Claim:
        """Ask to run a job. A record that was lost is made again from ``spec``.

        A job held by another worker is granted only if that is ``instead_of``: the caller says so after
        ``is_alive`` said no; that counts as a lost worker, unless ``holder_lives`` and could only not let go. A worker that already holds the job is told ``HELD`` by itself.
        """
        ...

    async def release(self, spec: JobSpec, fence: int, attempts: Sequence[Attempt]) -> bool:
        """End a run without an outcome: the job is queued again. False: the fence is stale, nothing was changed.

        ``attempts`` of this run are kept in the job's history; none leaves no trace there, and takes back the start.
        """
        ...

    async def finish(self, spec: JobSpec, fence: int, outcome: Outcome, attempts: Sequence[Attempt]) -> Finish:
        """Give a job its final status, tell those who wait, count it in its batch, start its retention.

        It is ours if it has this outcome, now or since an earlier call with the same fence. Only the call that ended it
        gives its notices; whoever comes later asks the outbox.
        """
        ...

    async def cancel(self, team: str, job_id: str) -> Job | None:
        """Cancel a job that is not final, whoever runs it; give the job as it is then. None: no such job."""
        ...

    async def withdraw(self, team: str, job_id: str) -> Job | None:
        """Cancel a job, if it is not final, that its client was told was not accepted.

        Nobody is told of its end, and no listing and no batch shows it; its message, should there be one, runs nothing.
        """
        ...

    async def note_reply(self, team: str, job_id: str, report: ReplyReport) -> None:
        """Note on a job what became of the reply about it; without effect if there is no such job."""
        ...

    async def revive(self, spec: JobSpec, message: bytes) -> JobStatus | None:
        """Let a failed job begin anew as ``accepted``, with ``spec``; any other is left alone. Give its status then.

        None: there is no record; a claim makes it. ``message`` is kept until ``mark_queued``, as ``accept`` does. The
        attempts stay in the job's history and count no more, nor do lost workers; an earlier fence is refused. In its
        batch the job is unfinished again, and so is the batch.
        """
        ...

    async def get(self, team: str, job_id: str) -> Job | None:
        """Give a job; None: this team has none by that id."""
        ...

    async def list(self, team: str, job_filter: JobFilter, after: str | None, limit: int) -> JobPage:
        """Give a page of jobs older than ``after``, newest first, at most ``limit``.

        A page may be shorter than ``limit``, even empty, though older jobs match: ``next_after`` tells.
        """
        ...

    async def open_batch(self, batch: Batch) -> Batch:
        """Begin a batch; one that is there is open again, or will be with its first new job if it has ended.

        One with another webhook stays as it is, and is given so.
        """
        ...

    async def close_batch(self, team: str, batch_id: str) -> Batch:
        """Note that all lines have come in. Raises ``NotFound``."""
        ...

    async def batch(self, team: str, batch_id: str) -> Batch | None:
        """Give a batch's progress; None: this team has none by that id."""
        ...

    async def stranded(self, older_than_s: float, limit: int) -> Sequence[Stranded]:
        """Give jobs that have been ``accepted`` for longer than that many seconds, of all teams."""
        ...


class WorkerLeases(Protocol):
    """Which workers are alive. One lease a worker stands for all the jobs it holds: renewing is O(1)."""

    async def renew(self, worker: str, ttl_s: float) -> None:
        """Say that the worker lives, for that many seconds by the store's own clock."""
        ...

    async def is_alive(self, worker: str) -> bool:
        """Tell whether the worker's lease runs."""
        ...

    async def end(self, worker: str) -> None:
        """Give the lease back, after a clean stop."""
        ...


@dataclass(frozen=True, slots=True)
class JobChange:
    """A job reached a final status."""

    job_id: str
    status: JobStatus


class JobFeed(Protocol):
    """Announcements of final statuses, to everybody who listens now. They may be lost: read the store as well."""

    def follow(self) -> AsyncIterator[JobChange | None]:
        """Yield changes for as long as it is iterated; reconnects by itself.

        Yields None each time the subscription has been made (at first, and after a loss): whatever happened
        before may have been missed, and everything after will come.
        """
        ...
