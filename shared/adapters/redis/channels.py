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

Hear = Callable[[bytes], None]

SUBSCRIBE_DEADLINE_S: Final = 2.0
"""Seconds until a subscription must be confirmed."""

SILENCE_S: Final = 8.0
"""Seconds without a word from the server, not even an answer to a ping, after which the connection is made anew."""

RECONNECT_S: Final = 0.25
"""Seconds between attempts to connect."""

MOST_AT_ONCE: Final = 512
"""Channels in one command."""


class Channels:
    """Hears what is published on some channels. What is published while the connection is made anew is lost.

    redis-py's own ``PubSub`` reconnects in whichever task notices the loss first, so it is not for many at once.
    """

    def __init__(self, client: Client, clock: Clock, emit: Emit) -> None:
        """``client``: as ``connection.connect`` gives it; the connection is like its own, and not one of its pool."""
        self._client = client
        self._clock = clock
        self._ears: dict[str, list[Hear]] = {}
        self._unconfirmed: dict[str, list[asyncio.Future[None]]] = {}
        self._orders: asyncio.Queue[tuple[str, str]] | None = None
        self._is_heard = asyncio.Event()
        self._task = EnduringTask("answer channels", self._run, clock, emit)

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
        """Subscribe without waiting for the confirmation. ``hear`` gets each message, and must neither wait nor raise."""
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

    def ping(self) -> None:
        """Ask the server for a word."""
        self._order("PING", "")

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
            batch = [await orders.get()]
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
                if not isinstance(reply, list):
                    raise ConnectionLost("not a reply to a subscriber")
                self._on_reply(reply)

    def _on_reply(self, reply: Sequence[Any]) -> None:
        match bytes(reply[0]):
            case b"message":
                for hear in self._ears.get(reply[1].decode(), ()):
                    hear(reply[2])
            case b"subscribe":
                self._is_heard.set()
                for confirmed in self._unconfirmed.pop(reply[1].decode(), ()):
                    if not confirmed.done():
                        confirmed.set_result(None)


def _commands(orders: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Put orders that follow each other and have the same verb into one command."""
    commands: list[list[str]] = []
    for verb, channel in orders:
        if verb != "PING" and commands and commands[-1][0] == verb:
            commands[-1].append(channel)
        else:
            commands.append([verb, channel] if channel else [verb])
    return commands
