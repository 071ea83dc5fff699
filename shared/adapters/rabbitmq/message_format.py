"""A message as AMQP carries it: the body untouched, the job's id and the headers as AMQP headers."""

import math
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic
from pamqp.common import FieldTable

from shared.adapters.rabbitmq.names import CLASS, DIED_AT, JOB_ID, LANE, LEFT, QUEUE_KEY, REASON, RETRY_AFTER
from shared.domain.door import Reply
from shared.domain.lanes import JobClass, QueueName
from shared.domain.work_queue import DeadLetter, Message

_PERSISTENT: Final = 2
_LONGEST_REASON: Final = 1_000
_LATEST: Final = 2.0**36
"""Seconds since the epoch: what is later than the year 4147 is no moment of ours."""
_NOT_ITS_OWN: Final = ("forebay-", "x-", "authorization")
"""How headers begin that are the transports' own; or, of a submission that the broker itself gave up, its sender's key."""


@dataclass(frozen=True, slots=True)
class Onward:
    """The rest of a message's way: seconds to wait, and the routing key of the queue it is for."""

    key: str
    left_s: int


def properties_of(message: Message, marks: Mapping[str, str]) -> Basic.Properties:
    """Give the properties of one publish; ``marks`` are the transport's own headers.

    Each call makes a new ``message_id``: a repeated one can hang a publish.
    """
    headers: FieldTable = {**message.headers, **marks, JOB_ID: message.job_id}
    return Basic.Properties(
        content_type="application/json",
        delivery_mode=_PERSISTENT,
        headers=headers,
        message_id=uuid.uuid4().hex,
    )


def properties_of_reply(reply: Reply) -> Basic.Properties:
    """Give the properties of a reply. It keeps its ``message_id``: whoever sends it sends no other one by that meanwhile."""
    headers: FieldTable = {}
    if reply.retry_after_s is not None:
        headers[RETRY_AFTER] = max(1, math.ceil(reply.retry_after_s))
    return Basic.Properties(
        content_type="application/json",
        delivery_mode=_PERSISTENT,
        headers=headers,
        message_id=reply.message_id,
        correlation_id=reply.correlation_id,
        message_type=reply.kind,
    )


def message_in(delivered: DeliveredMessage) -> Message:
    """Give what was published; the job's id is empty if a stranger published it without one."""
    headers = delivered.header.properties.headers or {}
    own = {name: str(value) for name, value in headers.items() if not name.lower().startswith(_NOT_ITS_OWN)}
    return Message(body=delivered.body, job_id=str(headers.get(JOB_ID, "")), headers=own)


def onward_in(delivered: DeliveredMessage) -> Onward | None:
    """Give the rest of a message's way; None: it has arrived, or says nothing that can be read."""
    headers = delivered.header.properties.headers or {}
    key, left = str(headers.get(QUEUE_KEY, "")), str(headers.get(LEFT, ""))
    return Onward(key, int(left)) if key and left.isdecimal() and left.isascii() else None


def marks_of_burial(reason: str, died_at: float, queue: QueueName | None) -> dict[str, str]:
    """Give the headers of ours that a dead letter carries."""
    marks = {REASON: reason[:_LONGEST_REASON], DIED_AT: repr(died_at)}
    return marks if queue is None else {**marks, LANE: queue.lane, CLASS: queue.job_class.name}


def dead_letter_in(delivered: DeliveredMessage) -> DeadLetter:
    """Give the message and why it is dead: our reason, or the broker's if it gave the message up itself."""
    headers = delivered.header.properties.headers or {}
    reason = headers.get(REASON) or headers.get("x-first-death-reason") or "unknown"
    lane, job_class = headers.get(LANE), headers.get(CLASS)
    queue = QueueName(str(lane), JobClass(str(job_class))) if lane and job_class else None
    return DeadLetter(message_in(delivered), str(reason), _died_at(headers), queue)


def _died_at(headers: FieldTable) -> float | None:
    """Give the moment that we wrote, or the one of the last time that the broker gave the message up."""
    with suppress(ValueError):
        written = float(str(headers.get(DIED_AT)))
        if 0 <= written < _LATEST:
            return written
    deaths = headers.get("x-death")
    last = deaths[0] if isinstance(deaths, list) and deaths else {}
    moment = last.get("time") if isinstance(last, dict) else None
    return moment.timestamp() if isinstance(moment, datetime) else None
