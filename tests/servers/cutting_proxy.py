"""A proxy that lets a request through and loses its reply, as a network does at the worst moment."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

_CHUNK: Final = 65_536


class CuttingProxy:
    """Stands in front of a TCP server on this machine. ``cuts`` counts the replies that were lost."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._is_armed = False
        self._lines: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self.port = 0
        self.cuts = 0

    async def listen(self) -> None:
        """Begin, on a free port."""
        self._listener = await asyncio.start_server(self._on_connection, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Cut everything and stop."""
        assert self._listener is not None
        self._listener.close()
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)
        await self._listener.wait_closed()

    def cut_the_next_reply(self) -> None:
        """Wait for the server's next reply, drop it, and cut that connection."""
        self._is_armed = True

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.create_task(self._connect_through(reader, writer))
        self._lines.add(line)
        line.add_done_callback(self._lines.discard)

    async def _connect_through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        ways = [
            asyncio.create_task(self._pass_requests(reader, server_writer)),
            asyncio.create_task(self._pass_replies(server_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in (writer, server_writer):
                end.transport.abort()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass_requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()

    async def _pass_replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK):
            if self._is_armed:
                self._is_armed = False
                self.cuts += 1
                return
            writer.write(chunk)
            await writer.drain()


@contextlib.asynccontextmanager
async def cutting_proxy(server_port: int) -> AsyncIterator[CuttingProxy]:
    """Lend a proxy in front of the server at that port."""
    proxy = CuttingProxy(server_port)
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.close()
