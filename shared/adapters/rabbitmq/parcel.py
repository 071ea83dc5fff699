"""One submission that came over the consumer's channel."""

import uuid
from collections.abc import Mapping
from copy import copy
from typing import Final

from pamqp.commands import Basic

from shared.adapters.rabbitmq.consumer_channel import RabbitMQDelivery
from shared.adapters.rabbitmq.unreadable_properties import UNREADABLE

_READ: Final = frozenset({"authorization", "x-api-key", "traceparent"})
"""Headers that mean something to us; what else a client sends, and how, is its own business."""


class RabbitMQParcel:
    """Keeps ``shared.domain.door.Parcel``."""

    def __init__(self, delivery: RabbitMQDelivery) -> None:
        """Read the properties; nothing in them makes this fail."""
        self._delivery = delivery
        properties = delivery.properties
        self.message_id = properties.message_id or None
        self.reply_to = properties.reply_to or None
        self.correlation_id = properties.correlation_id or None
        self.headers: Mapping[str, str] = {}
        self.fault: str | None = None
        sent = properties.headers or {}
        if UNREADABLE in sent:
            self.fault = "The properties of the message cannot be read."
            return
        meant = {name.lower(): value for name, value in sent.items() if name.lower() in _READ}
        self.headers = {name: text for name, value in meant.items() if (text := _text(value)) is not None}
        if unread := sorted(meant.keys() - self.headers.keys()):
            self.fault = f"The header `{unread[0]}` is no UTF-8 text."

    @property
    def body(self) -> bytes:
        """As it was sent."""
        return self._delivery.message.body

    @property
    def properties_again(self) -> Basic.Properties:
        """As they came, for another publish: under a name, and without its user's, which the broker would not believe us."""
        properties = copy(self._delivery.properties)
        properties.message_id = self.message_id or uuid.uuid4().hex
        properties.user_id = None
        return properties

    async def ack(self) -> None:
        """Forget the message."""
        await self._delivery.ack()

    async def give_back(self) -> None:
        """Put it back into the queue."""
        await self._delivery.give_back()


def _text(value: object) -> str | None:
    if isinstance(value, bytes | bytearray):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    return value if isinstance(value, str) else None
