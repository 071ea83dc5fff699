"""The job: what was asked, what became of it, and the words for both.

::

    scheduled ─► queued ─► running ─► succeeded | failed
        │          │  ▲       │
        │          │  └─retry─┤
        └──────────┴──────────┴─────► cancelled | expired

``accepted`` is the moment between the record and the confirmed publish; clients see it as queued.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from shared.domain.answer_cache import CachePolicy, CacheResult
from shared.domain.callbacks import Callback, ReplyReport
from shared.domain.files import FileReference
from shared.domain.lanes import (
    DEFERRABLE_WINDOWS,
    DeferrableWindow,
    Priority,
    QueueName,
    class_for,
    overdue_queue,
)
from shared.domain.routing import RoutingWish
from shared.domain.usage import Usage

Json = dict[str, Any]
"""A JSON object as Python has it."""


class JobStatus(StrEnum):
    """Where a job stands."""

    ACCEPTED = "accepted"
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        """Whether nothing will change any more."""
        return self in FINAL_STATUSES

    @property
    def shown(self) -> "JobStatus":
        """The word a client sees."""
        return JobStatus.QUEUED if self is JobStatus.ACCEPTED else self


LONGEST_WAIT_S: Final = 3_600.0
"""Seconds of a delay after which a waiting job is looked at; far less than a record is kept after its end."""

FINAL_STATUSES: Final = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.EXPIRED})


@dataclass(frozen=True, slots=True)
class Attribution:
    """Whom the cost belongs to, below the team."""

    project: str | None = None
    feature: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What a client asked for, except the provider's request itself. Never changes.

    id: ``job_`` and 26 sortable characters.
    team: whose job it is; part of every lookup.
    endpoint: the provider's path, such as ``/v1/chat/completions``.
    model: the public name the client asked for; ``lane``: the model group that serves it.
    created_at, run_at, deadline: seconds since the epoch; ``run_at``: not before; ``deadline``: not after.
    batch_id: the batch it came with. key_id: the API key it came with; None: the administrator's.
    idempotency_key: the client's, which stands for this job until the job is forgotten.
    estimated_start_at: when it was expected to start, as known at its admission.
    streams: its answer is passed on piece by piece to who waits for it, while it is being made.
    charged_tokens: what it was charged at its admission, to be settled on what it uses; None: nobody counts its tokens.
    request_file: where its request lies; None: in its message.
    """

    id: str
    team: str
    endpoint: str
    model: str
    lane: str
    priority: Priority
    created_at: float
    run_at: float | None = None
    deadline: float | None = None
    batch_id: str | None = None
    key_id: str | None = None
    idempotency_key: str | None = None
    estimated_start_at: float | None = None
    charged_tokens: float | None = None
    routing: RoutingWish = field(default_factory=RoutingWish)
    cache: CachePolicy = field(default_factory=CachePolicy)
    attribution: Attribution = field(default_factory=Attribution)
    metadata: Mapping[str, str] = field(default_factory=dict)
    callback: Callback = field(default_factory=Callback)
    streams: bool = False
    request_file: FileReference | None = None

    @property
    def status_once_published(self) -> JobStatus:
        """Where the job stands when the broker has its message."""
        return JobStatus.QUEUED if self.run_at is None else JobStatus.SCHEDULED

    @property
    def comes_at(self) -> float:
        """Up to when its message may be kept from running: its deadline or ``run_at``, whichever is later; 0: neither."""
        return max(self.run_at or 0.0, self.deadline or 0.0)

    def starts_at(self, now: float) -> float:
        """Give the first moment at which the job may run: ``run_at``, or ``now`` if that is over or not set."""
        return max(now, self.run_at or now)

    def wait_s(self, now: float) -> float:
        """Give the seconds its message is to wait: until it may run, but an hour at most; whoever gets it looks then.

        One that was cancelled goes no further that way: once its time has come, its record might be gone.
        """
        return min(self.starts_at(now) - now, LONGEST_WAIT_S)

    def begun_anew(self, now: float) -> "JobSpec":
        """Give what a failed job is when somebody has it run again: its deadline, if that is over, binds it no more."""
        is_over = self.deadline is not None and self.deadline <= now
        return replace(self, deadline=None) if is_over else self

    def due_at(self, windows: Sequence[DeferrableWindow] = DEFERRABLE_WINDOWS) -> float | None:
        """Give the moment up to which the job should be done; None: it is patient without end.

        That is its deadline. Deferrable work without one is patient for the longest window from when it may run
        first: it does not expire then, but waits no longer for idle capacity.
        """
        if self.deadline is not None or self.priority is not Priority.DEFERRABLE:
            return self.deadline
        return self.starts_at(self.created_at) + windows[-1].seconds

    def queue(
        self, now: float, windows: Sequence[DeferrableWindow] = DEFERRABLE_WINDOWS, *, is_surplus: bool = False
    ) -> QueueName:
        """Give the queue this job waits in, if it begins to wait at ``now``.

        ``is_surplus``: its team has more than its share of the class's backlog.
        """
        due_at = self.due_at(windows)
        job_class = class_for(self.priority, None if due_at is None else due_at - now, windows)
        return QueueName(self.lane, job_class.surplus if is_surplus else job_class)

    def queue_again(self, came_from: QueueName, now: float, windows: Sequence[DeferrableWindow]) -> QueueName:
        """Give the queue this job waits in, if it begins to wait again at ``now``.

        It is the one it came from; deferrable work may have less time by now than that one's window.
        """
        if self.priority is not Priority.DEFERRABLE:
            return came_from
        queue = self.queue(now, windows)
        if queue.job_class.window is not None:
            return queue
        return came_from if came_from.job_class.window is None else overdue_queue(self.lane)

    def has_time_for_another_window(
        self, came_from: QueueName, now: float, windows: Sequence[DeferrableWindow]
    ) -> bool:
        """Whether the window this job waited in is over, and its deadline is further away than the next one's end."""
        if self.priority is not Priority.DEFERRABLE or came_from.job_class.window is not None:
            return False
        return self.queue(now, windows).job_class.window is not None


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the message carries: the whole work to be done, enough to recreate the job's record.

    request: the provider's request body as the client sent it; empty while it lies in ``spec.request_file``.
    traceparent: the W3C trace context the job was submitted under, if any.
    """

    spec: JobSpec
    request: Json
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of one deployment. ``outcome`` is ``succeeded``, ``cancelled`` or a provider error's code.

    is_probe: it was made to find out whether the deployment is back, so its failure is not held against the job.
    """

    deployment: str
    started_at: float
    ended_at: float
    outcome: str
    message: str | None = None
    is_probe: bool = False


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job failed, in the shape of the OpenAI API's errors."""

    message: str
    type: str
    code: str
    param: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended.

    status: one of ``FINAL_STATUSES``.
    response: the provider's body, on success. response_file: where it lies, if it is not here.
    cost_usd: None where the price is not known; never guessed.
    served_by: the deployment that answered.
    """

    status: JobStatus
    response: Json | None = None
    error: JobError | None = None
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    served_by: str | None = None
    cache: CacheResult | None = None
    response_file: FileReference | None = None


EXPIRED: Final = Outcome(
    JobStatus.EXPIRED,
    error=JobError("The deadline passed before the job was finished.", "expired", "deadline_exceeded"),
)
"""How a job ends that nobody finished in time."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the store knows it.

    attempts: all of them, those before it was revived first.
    sequence: of its end among all events of the team; rises with time.
    revivals: how often it was failed and began anew; with its end they name one event.
    replayed_at: positions in ``attempts`` at which a revival began; one without attempts before it has none.
    reply: what became of the reply to its ``reply_to``; None: nothing yet.
    """

    spec: JobSpec
    status: JobStatus
    attempts: tuple[Attempt, ...] = ()
    started_at: float | None = None
    finished_at: float | None = None
    outcome: Outcome | None = None
    sequence: int | None = None
    revivals: int = 0
    reply: ReplyReport | None = None
    replayed_at: tuple[int, ...] = ()
