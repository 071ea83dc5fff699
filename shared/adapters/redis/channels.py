"""All that a process listens to on channels that come and go, over one connection of its own."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from redis.asyncio import RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as ConnectionLost

from shared.adapters.redis.connection import LIBRARY_ERRORS, Client
from shared.domain.clock import Clock
from shared.domain.enduring_task import EnduringTask
from shared.domain.errors import StoreUnavailable
from shared.domain.events import Emit

Hear = Callable[[bytes | None], None]
"""Gets each message; and None each time the subscription has begun: what was published before may have been missed."""

SUBSCRIBE_DEADLINE_S: Final = 2.0
"""Seconds until a subscription must be confirmed."""

SILENCE_S: Final = 8.0
"""Seconds without a word from the server, not even an answer to a ping, after which the connection is made anew."""

PINGS_PER_SILENCE: Final = 4
"""Times that the server is asked for a word while that lasts."""

RECONNECT_S: Final = 0.25
"""Seconds between attempts to connect."""

MOST_AT_ONCE: Final = 512
"""Channels in one command."""


class Channels:
    """Hears what is published on some channels. What is published while the connection is made anew is lost.

    redis-py's own ``PubSub`` reconnects in whichever task notices the loss first, so it is not for many at once.
    """

    def __init__(self, client: Client, name: str, clock: Clock, emit: Emit) -> None:
        """``client``: as ``connection.connect`` gives it; the connection is like its own, and not one of its pool.

        ``name`` is shown in events.
        """
        self._client = client
        self._clock = clock
        self._ears: dict[str, list[Hear]] = {}
        self._unconfirmed: dict[str, list[asyncio.Future[None]]] = {}
        self._orders: asyncio.Queue[tuple[str, str]] | None = None
        self._is_heard = asyncio.Event()
        self._task = EnduringTask(name, self._run, clock, emit)

    def start(self) -> None:
        """Begin, on the running event loop; without effect if it has begun."""
        self._task.start()

    async def close(self) -> None:
        """End the connection."""
        await self._task.stop()

    async def heard(self) -> None:
        """Wait until the server has confirmed anything since it was connected, or for as long as that may take."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SUBSCRIBE_DEADLINE_S):
                await self._is_heard.wait()

    def hear_soon(self, channel: str, hear: Hear) -> None:
        """Subscribe without waiting for the confirmation. ``hear`` must neither wait nor raise."""
        self._ears.setdefault(channel, []).append(hear)
        self._order("SUBSCRIBE", channel)

    async def hear(self, channel: str, hear: Hear) -> None:
        """Subscribe, as ``hear_soon``, and wait until it is confirmed; raises ``StoreUnavailable``."""
        confirmed = asyncio.get_running_loop().create_future()
        self._unconfirmed.setdefault(channel, []).append(confirmed)
        self.hear_soon(channel, hear)
        try:
            async with asyncio.timeout(SUBSCRIBE_DEADLINE_S):
                await confirmed
        except TimeoutError:
            self.leave(channel, hear)
            raise StoreUnavailable("The store did not confirm a subscription in time.") from None
        except asyncio.CancelledError:
            self.leave(channel, hear)
            raise

    def leave(self, channel: str, hear: Hear) -> None:
        """Hear no more of a channel."""
        self._ears[channel].remove(hear)
        if not self._ears[channel]:
            del self._ears[channel]
            self._unconfirmed.pop(channel, None)
            self._order("UNSUBSCRIBE", channel)

    def _order(self, verb: str, channel: str) -> None:
        if self._orders is not None:  # without a connection the next one begins with all channels
            self._orders.put_nowait((verb, channel))

    async def _run(self) -> None:
        while True:
            with suppress(OSError, *LIBRARY_ERRORS):
                line = await self._connected()
                try:
                    await self._use(line)
                finally:
                    self._orders = None
                    self._is_heard.clear()
                    await line.disconnect(nowait=True)
            await self._clock.sleep(RECONNECT_S)

    async def _connected(self) -> AbstractConnection:
        async with asyncio.timeout(SUBSCRIBE_DEADLINE_S):
            line: Any
            if isinstance(self._client, RedisCluster):
                await self._client.initialize()
                node = self._client.get_random_node()  # any hears what is published at any other
                line = node.connection_class(**node.connection_kwargs)
            else:
                line = self._client.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            await line.connect()
            connection: AbstractConnection = line
            return connection

    async def _use(self, line: AbstractConnection) -> None:
        self._orders = asyncio.Queue()
        for channel in self._ears:
            self._order("SUBSCRIBE", channel)
        reading = asyncio.create_task(self._read(line))
        writing = asyncio.create_task(self._write(line, self._orders))
        try:
            await asyncio.wait((reading, writing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            reading.cancel()
            writing.cancel()
            ends = await asyncio.gather(reading, writing, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _write(self, line: AbstractConnection, orders: asyncio.Queue[tuple[str, str]]) -> None:
        while True:
            batch = [await _next_of(orders)]
            while not orders.empty() and len(batch) < MOST_AT_ONCE:
                batch.append(orders.get_nowait())
            for command in _commands(batch):
                await line.send_command(*command, check_health=False)

    async def _read(self, line: AbstractConnection) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(SILENCE_S) as patience:
            while True:
                reply = await line.read_response()
                patience.reschedule(loop.time() + SILENCE_S)
                if isinstance(reply, list):
                    self._on_reply(reply)
                elif reply != b"PONG":  # the answer to a ping while there is no subscription
                    raise ConnectionLost("not a reply to a subscriber")

    def _on_reply(self, reply: Sequence[Any]) -> None:
        match bytes(reply[0]):
            case b"message":
                self._tell(reply[1].decode(), reply[2])
            case b"subscribe":
                channel = reply[1].decode()
                self._is_heard.set()
                for confirmed in self._unconfirmed.pop(channel, ()):
                    if not confirmed.done():
                        confirmed.set_result(None)
                self._tell(channel, None)

    def _tell(self, channel: str, message: bytes | None) -> None:
        for hear in self._ears.get(channel, ()):
            hear(message)


async def _next_of(orders: asyncio.Queue[tuple[str, str]]) -> tuple[str, str]:
    """Give the next order; a ping, if there is none for a while."""
    try:
        async with asyncio.timeout(SILENCE_S / PINGS_PER_SILENCE):
            return await orders.get()
    except TimeoutError:
        return ("PING", "")


def _commands(orders: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Put orders that follow each other and have the same verb into one command."""
    commands: list[list[str]] = []
    for verb, channel in orders:
        if verb != "PING" and commands and commands[-1][0] == verb:
            commands[-1].append(channel)
        else:
            commands.append([verb, channel] if channel else [verb])
    return commands
