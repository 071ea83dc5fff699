"""The port to the queues. Two adapters keep it: RabbitMQ, and Valkey streams; one contract suite proves both.

What a transport promises:

- A publish that returned is durable: confirmed by the broker, and some queue took it.
- A message is delivered to one consumer at a time and stays until it is acknowledged.
- A message whose consumer is lost is delivered again, within seconds, with ``redelivered`` set.
- A delayed message arrives in its queue when its delay is over, however long that is and whatever other delays
  wait: not before, and not much more than a second after, while any process consumes.
- A broker that is away gives ``BrokerUnavailable`` within ``PUBLISH_DEADLINE_S``, and after its
  return everything goes on by itself.
"""

import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from shared.domain.lanes import MAILBOXES, JobClass, Priority, QueueName

PUBLISH_DEADLINE_S: Final = 2.0
"""Seconds after which a publish that is not confirmed has failed."""


MOST_DEAD_LETTERS: Final = 10_000
"""Dead letters that are looked at in one go."""

_DIGEST_LENGTH: Final = 32


@dataclass(frozen=True, slots=True)
class Message:
    """What travels: an opaque body, and headers for those who must not read it.

    Header names that begin with ``forebay-`` or ``x-`` belong to the transports.
    """

    body: bytes
    job_id: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """Messages of one queue: waiting to be delivered, and delivered but not yet acknowledged.

    Over AMQP only this process's own deliveries are known to be unacknowledged.
    """

    ready: int
    unacknowledged: int


REJECTION: Final = "rejection"
"""The header of a submission that was rejected: what was wrong with it, as a sentence."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that nobody will work on, and why.

    died_at: seconds since the epoch. queue: the one it was taken from. None: nobody wrote it down.
    """

    message: Message
    reason: str
    died_at: float | None = None
    queue: QueueName | None = None

    @property
    def id(self) -> str:
        """The job's id; for mail, and a message without a job, a digest. Two letters may share it, as after a crash."""
        if self.message.job_id and not self.is_mail:
            return self.message.job_id
        came_from = self.queue.lane.encode() if self.queue is not None and self.is_mail else b""
        return f"dead_{hashlib.sha256(came_from + self.message.body).hexdigest()[:_DIGEST_LENGTH]}"

    @property
    def rejection(self) -> str | None:
        """What was wrong with a submission that came as a message; None: it is none that was rejected."""
        return self.message.headers.get(REJECTION)

    @property
    def is_mail(self) -> bool:
        """Whether it comes from a mailbox: then it is about a job, or a batch, and none itself."""
        return self.queue is not None and self.queue.lane in MAILBOXES


Judge = Callable[[Sequence[DeadLetter]], Awaitable[Sequence[bool]]]
"""Looks at some dead letters, and says of each whether it may go: whatever is to be done with it is done by then."""


class Delivery(Protocol):
    """One message in this process's hands, until it calls exactly one of the three verbs."""

    @property
    def message(self) -> Message:
        """What was published."""
        ...

    @property
    def queue(self) -> QueueName:
        """Where it was taken from."""
        ...

    @property
    def redelivered(self) -> bool:
        """Whether somebody may have had it before."""
        ...

    async def ack(self) -> None:
        """Everything is done: forget the message. If the connection is gone it will be delivered again."""
        ...

    async def give_back(self) -> None:
        """Nothing was done: let the next consumer have it."""
        ...


Allowed = Callable[[JobClass], bool]
"""Says whether a message of a class may be taken now. It must not wait."""


def any_class(_: JobClass) -> bool:
    """Allow every class."""
    return True


class Intake(Protocol):
    """One worker's mouth at one lane: it takes from the lane's classes by weighted turns."""

    @property
    def classes(self) -> tuple[JobClass, ...]:
        """The lane's classes, in the order of precedence."""
        ...

    async def take(self, allowed: Allowed = any_class) -> Delivery:
        """Wait for the next message whose turn it is, of a class that is ``allowed`` at the moment it is given out.

        Safe to cancel: no message is lost by it.
        """
        ...

    def reconsider(self) -> None:
        """Let ``take`` ask again what is allowed, because that has changed."""
        ...

    def kept_waiting(self) -> Mapping[JobClass, float]:
        """Give the seconds since the oldest message of each class was fetched that nobody has taken yet."""
        ...

    async def pause(self, classes: Collection[JobClass] | None = None) -> None:
        """Stop consuming these classes (None: all); what was fetched of them and not taken goes back to the queues.

        The others are not disturbed. Once begun it is done, even if cancelled.
        """
        ...

    async def resume(self, classes: Collection[JobClass] | None = None) -> None:
        """Consume these classes (None: all) again; without effect for those that are not paused."""
        ...

    async def close(self) -> None:
        """As ``pause``, for good. Deliveries already taken can still be acknowledged."""
        ...


class WorkQueue(Protocol):
    """A connection to the broker."""

    async def open(self) -> None:
        """Connect. Raises ``BrokerUnavailable`` when the broker cannot be reached in time."""
        ...

    async def close(self) -> None:
        """Let go of everything. Messages taken and not acknowledged will be delivered again."""
        ...

    async def ping(self) -> None:
        """Return if the broker answers; raise ``BrokerUnavailable`` within ``PUBLISH_DEADLINE_S`` if not."""
        ...

    async def declare(self, lanes: Sequence[str]) -> None:
        """Make the queues of these lanes, the delay ladder and the dead-letter queue, where they are missing."""
        ...

    async def publish(self, queue: QueueName, message: Message, delay_s: float = 0.0) -> None:
        """Put a message into a queue, durably; with ``delay_s`` after that many seconds.

        Any delay is kept, to within about two seconds; it may be rounded up to whole seconds.

        Raises:
            BrokerUnavailable: not confirmed within ``PUBLISH_DEADLINE_S``. The message may or may not be there.
            Unroutable: the queue does not exist.
        """
        ...

    async def bury(self, message: Message, reason: str, queue: QueueName | None = None) -> None:
        """Put a message into the dead-letter queue with the reason, durably. Raises as ``publish``.

        ``queue``: the one it was taken from, to which it may be put back.
        """
        ...

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        """Show up to ``limit`` dead letters; they stay where they are. As ``judge_dead_letters``."""
        ...

    async def judge_dead_letters(self, judge: Judge, limit: int = MOST_DEAD_LETTERS) -> int:
        """Show dead letters to ``judge``, some at a time, and remove those that may go; give how many it saw.

        They come in no certain order; what is buried meanwhile may be among them. If there are more than ``limit``, those
        that were seen before come again. Nothing is removed before the judge has said so. Whatever it raises ends the round; what it let go by then is gone.
        """
        ...

    async def depth(self, queue: QueueName) -> QueueDepth:
        """Count a queue's messages."""
        ...

    def intake(self, lane: str, weights: Mapping[Priority, int], prefetch: int) -> Intake:
        """Begin to consume a lane.

        ``prefetch``: messages of each class that this process may have at a time. RabbitMQ counts those it works on,
        so it must be at least the number of jobs that run at once; streams count only those that wait here.
        """
        ...
