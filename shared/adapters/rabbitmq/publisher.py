"""The only publish of the project: confirmed, mandatory, persistent, and over within its deadline."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Final

from aio_pika.exceptions import ChannelNotFoundEntity, DeliveryError, PublishError
from aiormq.abc import AbstractChannel
from pamqp.commands import Basic

from shared.adapters.rabbitmq.broker_errors import lost_broker_is_unavailable
from shared.adapters.rabbitmq.connection import BrokerConnection
from shared.adapters.rabbitmq.message_format import properties_of
from shared.domain.clock import Clock
from shared.domain.errors import BrokerUnavailable, Unroutable
from shared.domain.work_queue import PUBLISH_DEADLINE_S, Message

_PAUSE_S: Final = 0.05
_NO_MARKS: Final[Mapping[str, str]] = MappingProxyType({})


class Refused(BrokerUnavailable):
    """A queue does not take the message: it is full, or in trouble."""


class Publisher:
    """Publishes over one channel; many publishes are on their way at once, each waits for its own confirmation.

    After a timeout the channel is retired: new publishes get a fresh one, those on their way keep
    waiting on the old one, which is closed with the last of them.
    """

    def __init__(self, connection: BrokerConnection, clock: Clock) -> None:
        """Publish over this connection."""
        self._connection = connection
        self._clock = clock
        self._channel: AbstractChannel | None = None
        self._opening = asyncio.Lock()
        self._on_their_way: Counter[AbstractChannel] = Counter()

    @asynccontextmanager
    async def deadline(self) -> AsyncIterator[None]:
        """Bound what is needed for one publish. Raises ``BrokerUnavailable`` after ``PUBLISH_DEADLINE_S``."""
        try:
            async with asyncio.timeout(PUBLISH_DEADLINE_S):
                yield
        except TimeoutError:
            unconfirmed = f"The message broker did not confirm within {PUBLISH_DEADLINE_S:g} s"
            raise BrokerUnavailable(f"{unconfirmed}: {self._connection.trouble}.") from None

    async def publish(self, exchange: str, key: str, message: Message, marks: Mapping[str, str] = _NO_MARKS) -> None:
        """Return when the broker has the message, durably, in at least one queue. To be called within ``deadline``.

        ``marks``: headers of ours that the message carries besides its own.
        A lost connection is waited for, and the message sent again, until then; so a message whose
        confirmation was lost may arrive twice.

        Raises:
            Unroutable: no queue took it, or there is no such exchange.
        """
        while True:
            try:
                return await self.send(exchange, key, message.body, properties_of(message, marks))
            except BrokerUnavailable:
                await self._clock.sleep(_PAUSE_S)

    async def send(self, exchange: str, key: str, body: bytes, properties: Basic.Properties) -> None:
        """As ``publish``, in one try, and with any properties. To be called within ``deadline``.

        Two messages with one ``message_id`` must not be on their way at once: a return would be taken for the other's.

        Raises:
            Unroutable: as ``publish``.
            Refused: there is a queue, and it does not take the message.
            BrokerUnavailable: the connection was lost; the message may or may not be there.
        """
        with lost_broker_is_unavailable():
            channel = await self._open_channel()
            self._on_their_way[channel] += 1
            try:
                await channel.basic_publish(
                    body,
                    exchange=exchange,
                    routing_key=key,
                    properties=properties,
                    mandatory=True,
                    wait=False,  # type: ignore[call-arg]  # the channel takes it, its interface does not say so
                )
            except PublishError as error:
                raise Unroutable(f"No queue took the message for `{key}`.") from error
            except DeliveryError as error:
                raise Refused(f"The queue `{key}` does not take the message.") from error
            except ChannelNotFoundEntity as error:
                # Everything on the channel ends with this error; only one of them has caused it.
                if f"'{exchange}'" in str(error):
                    raise Unroutable(f"There is no exchange `{exchange}`.") from error
                raise
            except BaseException:
                self._retire(channel)
                raise
            finally:
                self._arrived(channel)

    async def _open_channel(self) -> AbstractChannel:
        if self._channel is not None and not self._channel.is_closed:
            return self._channel
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                self._channel = await self._connection.channel(confirms=True)
            return self._channel

    def _retire(self, channel: AbstractChannel) -> None:
        if self._channel is channel:
            self._channel = None

    def _arrived(self, channel: AbstractChannel) -> None:
        self._on_their_way[channel] -= 1
        if not self._on_their_way[channel]:
            del self._on_their_way[channel]
            if self._channel is not channel:
                self._connection.discard(channel)
