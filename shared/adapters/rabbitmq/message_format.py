"""A message as AMQP carries it: the body untouched, the job's id and the headers as AMQP headers."""

import uuid
from typing import Final

from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic
from pamqp.common import FieldTable

from shared.adapters.rabbitmq.names import JOB_ID, REASON
from shared.domain.work_queue import DeadLetter, Message

_PERSISTENT: Final = 2
_LONGEST_REASON: Final = 1_000
_NOT_ITS_OWN: Final = ("forebay-", "x-")


def properties_of(message: Message, reason: str | None = None) -> Basic.Properties:
    """Give the properties of one publish. Each call makes a new ``message_id``: a repeated one can hang a publish."""
    headers: FieldTable = {**message.headers, JOB_ID: message.job_id}
    if reason is not None:
        headers[REASON] = reason[:_LONGEST_REASON]
    return Basic.Properties(
        content_type="application/json",
        delivery_mode=_PERSISTENT,
        headers=headers,
        message_id=uuid.uuid4().hex,
    )


def message_in(delivered: DeliveredMessage) -> Message:
    """Give what was published; the job's id is empty if a stranger published it without one."""
    headers = delivered.header.properties.headers or {}
    own = {name: str(value) for name, value in headers.items() if not name.startswith(_NOT_ITS_OWN)}
    return Message(body=delivered.body, job_id=str(headers.get(JOB_ID, "")), headers=own)


def dead_letter_in(delivered: DeliveredMessage) -> DeadLetter:
    """Give the message and why it is dead: our reason, or the broker's if it gave the message up itself."""
    headers = delivered.header.properties.headers or {}
    reason = headers.get(REASON) or headers.get("x-first-death-reason") or "unknown"
    return DeadLetter(message_in(delivered), str(reason))
