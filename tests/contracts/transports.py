"""The transports that must keep the one contract, and how a test gets at each."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import aio_pika
from redis.asyncio import Redis
from yarl import URL

from shared.adapters.rabbitmq.names import DEAD, JOB_ID, RUNGS, delay_name, queue_name, queues_of
from shared.adapters.rabbitmq.work_queue import RabbitMQWorkQueue
from shared.adapters.redis.connection import connect
from shared.adapters.streams.work_queue import StreamsWorkQueue
from shared.domain.clock import SystemClock
from shared.domain.events import Event
from shared.domain.lanes import DEFERRABLE_WINDOWS, DeferrableWindow
from shared.domain.work_queue import WorkQueue
from tests.servers.proxy import Dial, tcp, unix
from tests.servers.rabbitmq import RestartableRabbitMQ
from tests.servers.valkey import PrivateValkey


class Transport(Protocol):
    """One kind of work queue, on a running server."""

    @property
    def dial(self) -> Dial:
        """Connect to its server, for a proxy."""
        ...

    def connected(
        self, port: int | None = None, windows: Sequence[DeferrableWindow] = DEFERRABLE_WINDOWS
    ) -> AbstractAsyncContextManager[WorkQueue]:
        """Lend an open work queue, connected through a local port (a proxy's) or directly."""
        ...

    def unconnected(self, port: int) -> AbstractAsyncContextManager[WorkQueue]:
        """Lend a work queue that was not opened, aimed at a local port."""
        ...

    async def clean_up(self, lane: str, windows: Sequence[DeferrableWindow] = DEFERRABLE_WINDOWS) -> None:
        """Remove what a test left of its lane on a server that lives on."""
        ...


class Restartable(Protocol):
    """A server of our own, which a test may kill."""

    @property
    def transport(self) -> Transport:
        """The transport on it."""
        ...

    async def kill(self) -> None:
        """End it as ``kill -9`` does."""
        ...

    async def start(self) -> None:
        """Start it again, at the same place, on the data it has."""
        ...


def ignore(_: Event) -> None:
    """Take no notice of an event."""


class RabbitMQTransport:
    def __init__(self, url: str) -> None:
        self._url = URL(url)

    @property
    def dial(self) -> Dial:
        assert self._url.host is not None
        return tcp(self._url.host, self._url.port or 5672)

    @asynccontextmanager
    async def connected(
        self, port: int | None = None, windows: Sequence[DeferrableWindow] = DEFERRABLE_WINDOWS
    ) -> AsyncIterator[WorkQueue]:
        queue = self._queue(self._url if port is None else self._through(port), windows)
        await queue.open()
        try:
            yield queue
        finally:
            await queue.close()

    @asynccontextmanager
    async def unconnected(self, port: int) -> AsyncIterator[WorkQueue]:
        yield self._queue(self._through(port))

    async def clean_up(self, lane: str, windows: Sequence[DeferrableWindow] = DEFERRABLE_WINDOWS) -> None:
        async with await aio_pika.connect(self._url) as connection, connection.channel() as channel:
            for queue in queues_of(lane, windows):
                await channel.queue_delete(queue_name(queue))
            for name in (DEAD, delay_name(RUNGS[-1])):
                left = await channel.get_queue(name, ensure=False)
                while letter := await left.get(fail=False):
                    if str(letter.headers.get(JOB_ID)).endswith(lane):
                        await letter.ack()  # the others go back when the channel closes

    def _through(self, port: int) -> URL:
        return self._url.with_host("127.0.0.1").with_port(port)

    def _queue(self, url: URL, windows: Sequence[DeferrableWindow] = DEFERRABLE_WINDOWS) -> RabbitMQWorkQueue:
        return RabbitMQWorkQueue(str(url), SystemClock(), ignore, windows)


class RestartableRabbitMQBroker:
    def __init__(self, server: RestartableRabbitMQ) -> None:
        self._server = server
        self.transport: Transport = RabbitMQTransport(server.url)

    async def kill(self) -> None:
        await asyncio.to_thread(self._server.kill)

    async def start(self) -> None:
        await asyncio.to_thread(self._server.start)


class StreamsTransport:
    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def dial(self) -> Dial:
        url = URL(self._url)
        if url.scheme == "unix":
            return unix(Path(url.path))
        assert url.host is not None
        return tcp(url.host, url.port or 6379)

    @asynccontextmanager
    async def connected(
        self, port: int | None = None, windows: Sequence[DeferrableWindow] = DEFERRABLE_WINDOWS
    ) -> AsyncIterator[WorkQueue]:
        async with self._lent(self._url if port is None else f"redis://127.0.0.1:{port}/0", windows) as queue:
            await queue.open()
            yield queue

    @asynccontextmanager
    async def unconnected(self, port: int) -> AsyncIterator[WorkQueue]:
        async with self._lent(f"redis://127.0.0.1:{port}/0") as queue:
            yield queue

    async def clean_up(self, lane: str, windows: Sequence[DeferrableWindow] = DEFERRABLE_WINDOWS) -> None:
        """Nothing: the server ends with the tests."""

    @asynccontextmanager
    async def _lent(
        self, url: str, windows: Sequence[DeferrableWindow] = DEFERRABLE_WINDOWS
    ) -> AsyncIterator[WorkQueue]:
        client = connect(url)
        assert isinstance(client, Redis)
        queue = StreamsWorkQueue(client, SystemClock(), ignore, windows)
        try:
            yield queue
        finally:
            await queue.close()
            await client.aclose()


class RestartableValkeyBroker:
    def __init__(self, valkey: PrivateValkey) -> None:
        self._valkey = valkey
        self.transport: Transport = StreamsTransport(valkey.url)

    async def kill(self) -> None:
        await self._valkey.kill()

    async def start(self) -> None:
        await self._valkey.start()
