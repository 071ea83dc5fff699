"""The names that other programs see: exchanges, queues, routing keys, headers. Derived here and nowhere else."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from shared.domain.errors import ConfigurationError
from shared.domain.lanes import CLASSES, DEFERRABLE_WINDOWS, MAIL, MAILBOXES, DeferrableWindow, QueueName, classes_of

REQUESTS: Final = "forebay.requests"
"""The topic exchange in front of all work queues."""

DEAD: Final = "forebay.dead"
"""The dead-letter queue; it is reached through the default exchange."""

HOPS: Final = QueueName("forebay.hops", MAIL)
"""Where messages arrive whose delay is longer than the rung they waited in. A model's queues are named otherwise."""
SUBMIT: Final = "forebay.submit"
"""The fanout exchange, and the queue, of submissions that come as messages."""

RUNGS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600)
"""The delay ladder, in seconds."""

JOB_ID: Final = "forebay-job-id"
REASON: Final = "forebay-reason"
LANE: Final = "forebay-lane"
CLASS: Final = "forebay-class"
DIED_AT: Final = "forebay-died-at"
LEFT: Final = "forebay-left"
QUEUE_KEY: Final = "forebay-queue-key"
"""Headers of ours. Names that begin with ``forebay-`` or ``x-`` are not a message's own."""

RETRY_AFTER: Final = "retry-after"
"""The header of a reply that tells the seconds after which it may help to try again."""

_BY_THEIR_OWN_NAME: Final = MAILBOXES | {HOPS.lane, SUBMIT}
"""What is named like a lane here, and is a queue by that very name."""

_KEPT: Final = "/:@+,=!$&'()"
_ROOM: Final = 255 - max(len(f"{REQUESTS}..{job_class.name}") for job_class in CLASSES)
"""Bytes for a lane's name: 255 is the longest name in AMQP."""


def queue_name(queue: QueueName) -> str:
    """Give the queue of one class of one lane: ``forebay.requests.<lane>.<class>``; a mailbox and the hops bear their own.

    Raises:
        ConfigurationError: the lane's name is empty, or too long for a name in AMQP (255 bytes).
    """
    return queue.lane if queue.lane in _BY_THEIR_OWN_NAME else f"{REQUESTS}.{routing_key(queue)}"


def routing_key(queue: QueueName) -> str:
    """Give the key that leads from the exchange to this queue alone: ``<lane>.<class>``. Raises as ``queue_name``."""
    if queue.lane in _BY_THEIR_OWN_NAME:
        return queue.lane
    return f"{_escaped(queue.lane)}.{queue.job_class.name}"


def queues_of(lane: str, windows: Sequence[DeferrableWindow] = DEFERRABLE_WINDOWS) -> tuple[QueueName, ...]:
    """Give every queue of a lane, in the order of precedence of their classes."""
    return tuple(QueueName(lane, job_class) for job_class in classes_of(lane, windows))


def delay_name(seconds: int) -> str:
    """Give the name of a rung of the delay ladder; its exchange and its queue share it."""
    return f"forebay.delay.{seconds}"


def _escaped(lane: str) -> str:
    """Keep an ordinary model name as it is; percent-encode what a topic exchange or a terminal would misread."""
    escaped = quote(lane, safe=_KEPT)
    if not 1 <= len(escaped) <= _ROOM:
        allowed = f"1 to {_ROOM} bytes, each byte outside of A-Z a-z 0-9 and -._~{_KEPT} counted as three"
        raise ConfigurationError("the name of a lane", lane, allowed)
    return escaped
