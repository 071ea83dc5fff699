"""A proxy between a client and its server, for cutting the line without asking either."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

Dial = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
_CHUNK = 65_536


class Proxy:
    """Listens on 127.0.0.1 and passes bytes on, until it is told to misbehave.

    ``cuts`` counts the replies that were lost by ``cut_the_next_reply``.
    """

    def __init__(self, dial: Dial) -> None:
        """``dial`` connects to the server."""
        self._dial = dial
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._loses_the_next_reply = False
        self.port = 0
        self.cuts = 0

    async def listen(self) -> None:
        """Accept connections; the first time on a free port, later on the same one again."""
        self._server = await asyncio.start_server(self._on_connection, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def drop(self) -> None:
        """Cut every connection abruptly; new ones are welcome."""
        for line in tuple(self._lines):
            line.cancel()
        if self._lines:
            await asyncio.wait(self._lines)

    async def go_away(self) -> None:
        """Cut every connection and refuse new ones, until ``listen``."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.drop()

    def freeze(self) -> None:
        """Keep every connection, accept new ones, and pass nothing on."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Pass on what was held up, and go on."""
        self._flowing.set()

    def cut_the_next_reply(self) -> None:
        """Wait for the server's next reply, drop it, and cut that connection, as a network does at the worst moment."""
        self._loses_the_next_reply = True

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.create_task(self._connect_through(reader, writer))
        self._lines.add(line)
        line.add_done_callback(self._lines.discard)

    async def _connect_through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_writer = None
        try:
            far_reader, far_writer = await self._dial()
            ways = [
                asyncio.create_task(self._pass_requests(reader, far_writer)),
                asyncio.create_task(self._pass_replies(far_reader, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass  # the server is away, and so the line to it is cut
        finally:
            writer.transport.abort()
            if far_writer is not None:
                far_writer.transport.abort()

    async def _pass_requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK):
            await self._pass_on(chunk, writer)

    async def _pass_replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK):
            if self._loses_the_next_reply:
                self._loses_the_next_reply = False
                self.cuts += 1
                return
            await self._pass_on(chunk, writer)

    async def _pass_on(self, chunk: bytes, writer: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        writer.write(chunk)
        await writer.drain()


@contextlib.asynccontextmanager
async def proxy_to(dial: Dial) -> AsyncIterator[Proxy]:
    """Lend a listening proxy."""
    proxy = Proxy(dial)
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.go_away()


def tcp(host: str, port: int) -> Dial:
    """Dial a TCP server."""
    return lambda: asyncio.open_connection(host, port)


def unix(path: Path) -> Dial:
    """Dial a server on a Unix socket."""
    return lambda: asyncio.open_unix_connection(path)
