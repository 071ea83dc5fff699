"""The keys that other programs see, derived here and nowhere else. All belong to one server (no cluster)."""

from collections.abc import Sequence
from typing import Final

from shared.domain.errors import ConfigurationError
from shared.domain.lanes import DEFERRABLE_WINDOWS, MAILBOXES, DeferrableWindow, QueueName, classes_of

GROUP: Final = "workers"
"""The one consumer group of every work stream."""

DEAD: Final = "forebay.dead"
"""Stream of the dead letters."""

DELAYED: Final = "forebay.delayed"
"""Sorted set of the delayed messages; the score is the due moment in milliseconds of the server's clock."""

CONSUMERS: Final = "forebay.consumers"
"""Sorted set of the consumers; the score is when each counts as dead, in milliseconds of the server's clock."""

QUEUES: Final = "forebay.queues"
"""Hash of every work stream; the value says when and where to its messages move, if ever (see expire.lua)."""

LONGEST_LANE: Final = 255
"""Bytes, the same bound as on RabbitMQ."""


def queue_stream(queue: QueueName) -> str:
    """Give the stream in which a queue's messages wait: ``forebay.requests.<lane>.<class>``; a mailbox bears its own name."""
    if queue.lane in MAILBOXES:
        return queue.lane
    return f"forebay.requests.{queue.lane}.{queue.job_class.name}"


def returned_stream(queue: QueueName) -> str:
    """Give the stream of the queue's messages that somebody had before. It is read first."""
    return f"forebay.returned.{queue.lane}.{queue.job_class.name}"


def queues_of(lane: str, windows: Sequence[DeferrableWindow] = DEFERRABLE_WINDOWS) -> tuple[QueueName, ...]:
    """Give every queue of a lane, in the order of precedence of their classes.

    Raises:
        ConfigurationError: the lane's name is empty or too long.
    """
    if not 1 <= len(lane.encode()) <= LONGEST_LANE:
        raise ConfigurationError("the name of a lane", lane, f"1 to {LONGEST_LANE} bytes")
    return tuple(QueueName(lane, job_class) for job_class in classes_of(lane, windows))


def receipt_key(instance: str) -> str:
    """Give the key under which a publisher's last batch is remembered."""
    return f"forebay.receipt.{instance}"
