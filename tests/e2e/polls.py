"""Thousands of clients that wait for a job each: one connection a client, and hardly any work for who measures."""

import asyncio
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from shared.domain.clock import SystemClock

_CONNECTING_AT_ONCE: Final = 50
_END_OF_HEAD: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"
_END_OF_STREAM: Final = b"\r\n0\r\n\r\n"


class Poll(asyncio.Protocol):
    """A client that asks for one job. answered_at: seconds of the monotonic clock; None: not yet."""

    def __init__(self, request: bytes) -> None:
        """``request``: the whole request, as it is sent."""
        self._request = request
        self._clock = SystemClock()
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self.answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.answered_at: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self) -> None:
        """Send the request; the answer comes as ``answered``."""
        assert self._transport is not None
        self._received.clear()
        if self.answered.done():
            self.answered = asyncio.get_running_loop().create_future()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Take a part of the answer."""
        self._received += data
        head, separator, body = bytes(self._received).partition(_END_OF_HEAD)
        if not separator:
            return
        lengths = [int(line[len(_LENGTH) :]) for line in head.lower().split(b"\r\n") if line.startswith(_LENGTH)]
        is_whole = len(body) >= lengths[0] if lengths else body.endswith(_END_OF_STREAM)
        if is_whole and not self.answered.done():
            self.answered_at = self._clock.monotonic()
            self.answered.set_result(body)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what was not answered."""
        if not self.answered.done():
            self.answered.set_exception(exc or ConnectionResetError("the server hung up"))

    def close(self) -> None:
        """Hang up; whatever was not answered is not waited for."""
        self.answered.cancel()
        if self._transport is not None:
            self._transport.close()


async def connected(url: str, key: str, paths: Sequence[str], *, ask: bool = False) -> list[Poll]:
    """Connect a client for each path, some at a time; ``ask``: each asks as soon as it is connected."""
    where = urlsplit(url)
    host, port = where.hostname or "", where.port or 80
    loop = asyncio.get_running_loop()
    turns = asyncio.Semaphore(_CONNECTING_AT_ONCE)

    async def connect(path: str) -> Poll:
        request = f"GET {path} HTTP/1.1\r\nhost: {where.netloc}\r\nauthorization: Bearer {key}\r\n\r\n".encode()
        async with turns:
            _, poll = await loop.create_connection(lambda: Poll(request), host, port)
            if ask:
                poll.ask()
        return poll

    return await asyncio.gather(*map(connect, paths))
