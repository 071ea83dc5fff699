"""One connection to the broker, made again whenever it is lost."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Container, Coroutine
from typing import Any, Final

import aio_pika
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelInvalidStateError
from aiormq.abc import AbstractChannel
from yarl import URL

from shared.adapters.rabbitmq.broker_errors import cause, lost_broker_is_unavailable
from shared.adapters.rabbitmq.unreadable_properties import tolerate_unreadable_properties
from shared.domain.clock import Clock
from shared.domain.enduring_task import EnduringTask
from shared.domain.errors import BrokerUnavailable
from shared.domain.events import Emit, ServerBack, ServerLost
from shared.domain.work_queue import PUBLISH_DEADLINE_S

CONNECT_DEADLINE_S: Final = 1.8
"""Seconds for a first connection, below the deadline of a publish."""

_CHANNEL_DEADLINE_S: Final = 1.0
_CLOSE_DEADLINE_S: Final = 3.0
_LOOK_AGAIN_S: Final = 1.0
_HEARTBEAT_S: Final = 5
"""RabbitMQ looks each so many seconds whether anything came, and closes at the second look without: 10 to 15 s after
the last sign of life. aiormq gives one every 2 s, so an event loop may be held up for 8 s and keep its connection: far
longer than a worker's lease. Shorter than 5 s RabbitMQ advises against; longer leaves the jobs of a paused or cut-off
worker waiting for longer."""
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0


class BrokerConnection:
    """Opens channels on the connection of the moment. Publishing and consuming have one each.

    It does not use aio-pika's robust connection: that one restores consumers and channels behind
    our back, while deliveries of the old channel must be dropped first.
    """

    def __init__(self, url: str, purpose: str, clock: Clock, emit: Emit) -> None:
        """``purpose`` (publishing, consuming) is shown in the broker's list of connections and in events."""
        tolerate_unreadable_properties()
        self._url = URL(url)
        if "heartbeat" not in self._url.query:
            self._url = self._url.update_query(heartbeat=_HEARTBEAT_S)
        self._purpose = purpose
        self._clock = clock
        self.emit: Final = emit
        self._current: AbstractConnection | None = None
        self._up = asyncio.Event()
        self._lost = asyncio.Event()
        self._last_failure = "it does not answer"
        self._keeper = EnduringTask(f"rabbitmq {purpose}", self._stay_connected, clock, emit)
        self._farewells: set[asyncio.Task[None]] = set()

    @property
    def trouble(self) -> str:
        """What is wrong with the connection, in a few words."""
        return "it does not answer" if self._up.is_set() else self._last_failure

    async def open(self) -> None:
        """Connect, and stay connected until ``close``.

        Raises:
            BrokerUnavailable: not within ``CONNECT_DEADLINE_S``; then nothing is left running.
        """
        self._keeper.start()
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                await self._up.wait()
        except TimeoutError:
            await self.close()
            where = f"{self._url.host}:{self._url.port or 'default port'}"
            raise BrokerUnavailable(f"No connection to RabbitMQ at {where}: {self._last_failure}") from None

    async def close(self) -> None:
        """Disconnect for good."""
        await self._keeper.stop()
        if self._current is not None:
            self._in_background(self._current.close())
            self._current = None
        self._up.clear()
        if self._farewells:
            await asyncio.wait(self._farewells)

    async def ping(self) -> None:
        """Return if the broker answers; raise ``BrokerUnavailable`` within ``PUBLISH_DEADLINE_S`` if not."""
        async with self.errand(PUBLISH_DEADLINE_S):
            pass

    async def channel(self, *, confirms: bool = False) -> AbstractChannel:
        """Open a channel, waiting (without a limit) for the connection if it is away or blocked by the broker.

        With ``confirms`` a publish waits for the broker's confirmation, and one that no queue took raises.

        Raises:
            BrokerUnavailable: the connection was lost meanwhile, or does not answer and was given up.
        """
        await self._up.wait()
        connection = self._current
        if connection is None or connection.transport is None:
            raise BrokerUnavailable
        await self._until_unblocked(connection)
        with lost_broker_is_unavailable():
            try:
                async with asyncio.timeout(_CHANNEL_DEADLINE_S):
                    transport = connection.transport.connection
                    return await transport.channel(
                        _lowest_free(transport.channels), publisher_confirms=confirms, on_return_raises=True
                    )
            except TimeoutError:
                self._give_up(connection, "a channel was not opened in time")
                raise

    @contextlib.asynccontextmanager
    async def errand(self, deadline_s: float) -> AsyncIterator[AbstractChannel]:
        """Lend a channel for something short; it is closed afterwards, whatever happens.

        Raises:
            BrokerUnavailable: the errand was not done after ``deadline_s`` seconds, or the channel was lost;
                the library's error is its cause.
        """
        with lost_broker_is_unavailable():
            async with asyncio.timeout(deadline_s):
                channel = await self.channel()
                try:
                    yield channel
                finally:
                    self.discard(channel)

    def discard(self, channel: AbstractChannel) -> None:
        """Close a channel in the background; what still waits on it ends as unavailable."""
        if not channel.is_closed:
            self._in_background(channel.close(ChannelInvalidStateError("the channel was discarded")))

    async def _stay_connected(self) -> None:
        self._current = await self._connect_patiently()
        while True:
            self._up.set()
            await self._lost.wait()
            self.emit(ServerLost(self._server, self._last_failure))
            self._current = await self._connect_patiently()
            self.emit(ServerBack(self._server))

    async def _connect_patiently(self) -> AbstractConnection:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                with lost_broker_is_unavailable():
                    return await self._connect()
            except BrokerUnavailable as error:
                self._last_failure = cause(error.__cause__ or error)
            await self._clock.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _connect(self) -> AbstractConnection:
        connection = await aio_pika.connect(
            self._url,
            timeout=CONNECT_DEADLINE_S,
            client_properties={"connection_name": f"forebay {self._purpose}"},
        )
        self._lost.clear()

        def on_close(_: AbstractConnection | None, error: BaseException | None) -> None:
            self._give_up(connection, cause(error) if error else "closed by the broker")

        connection.close_callbacks.add(on_close)
        if not connection.connected.is_set():
            raise ConnectionError("closed by the broker at once")
        return connection

    async def _until_unblocked(self, connection: AbstractConnection) -> None:
        while self._current is connection and connection.transport is not None:
            # A connection that is lost while it is blocked never says that it is ready.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AGAIN_S):
                    await connection.transport.ready()
                    return
        raise BrokerUnavailable

    def _give_up(self, connection: AbstractConnection, why: str) -> None:
        if self._current is connection:
            self._current = None
            self._up.clear()
            self._last_failure = why
            self._lost.set()
            self._in_background(connection.close())

    def _in_background(self, closing: Coroutine[Any, Any, None]) -> None:
        farewell = asyncio.create_task(_finish(closing))
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)

    @property
    def _server(self) -> str:
        return f"rabbitmq ({self._purpose})"


def _lowest_free(taken: Container[int]) -> int:
    """Give a channel number. Left to itself aiormq counts upwards, past the broker's maximum in the end."""
    return next(number for number in itertools.count(1) if number not in taken)


async def _finish(closing: Coroutine[Any, Any, None]) -> None:
    with contextlib.suppress(BrokerUnavailable), lost_broker_is_unavailable():
        async with asyncio.timeout(_CLOSE_DEADLINE_S):
            await closing
