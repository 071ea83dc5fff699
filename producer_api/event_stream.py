"""A response of server-sent events."""

import asyncio
from collections.abc import Mapping
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import Message, Send

TAKEN_WITHIN_S: Final = 300.0
"""Seconds after which a client that takes nothing counts as gone, though its connection is open."""

_HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # proxies of the nginx family keep nothing back then
)


class EventStream:
    """Sends events, each as it comes. Whoever sends waits while the client does not read.

    Each method raises ``ClientDisconnect`` if the client does not for too long.
    """

    def __init__(self, send: Send) -> None:
        """``send`` is the application's."""
        self._send = send

    async def begin(self, headers: Mapping[str, str]) -> None:
        """Send the status 200 and the headers; from now on what goes wrong can only be an event."""
        named = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self._told({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, *named]})

    async def event(self, data: bytes) -> None:
        """Send one event; ``data`` has no line break."""
        await self._told({"type": "http.response.body", "body": b"data: " + data + b"\n\n", "more_body": True})

    async def end(self) -> None:
        """End the response."""
        await self._told({"type": "http.response.body", "body": b"", "more_body": False})

    async def _told(self, message: Message) -> None:
        try:
            async with asyncio.timeout(TAKEN_WITHIN_S):
                await self._send(message)
        except TimeoutError:
            raise ClientDisconnect from None
