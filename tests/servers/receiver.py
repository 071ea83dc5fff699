"""A receiver of webhooks, written with the official `standardwebhooks` library; `openai`'s verification agrees with it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from openai import OpenAI
from standardwebhooks import Webhook

from tests.servers.web import serving

_OPENAI: Final = OpenAI(api_key="none").webhooks
"""Made here, because its modules are loaded at its first use: a second and more, in which nothing else in the process goes on."""


@dataclass(frozen=True)
class Received:
    """One event that came, and was found to be genuine."""

    id: str
    event: dict[str, Any]
    headers: dict[str, str]
    raw: bytes

    def is_signed_with(self, secret: str) -> bool:
        """Verify again, with another secret."""
        try:
            verify(secret, self.raw, self.headers)
        except Exception:  # noqa: BLE001 - each library has its own
            return False
        return True


Answer = Callable[["Receiver", web.Request], Awaitable[web.StreamResponse]]


async def take(receiver: "Receiver", request: web.Request) -> web.StreamResponse:
    """Process the event and say so."""
    await receiver.process(request)
    return web.Response(status=204)


def say(status: int, **headers: str) -> Answer:
    """Process nothing; answer with that status."""

    async def answer(_receiver: "Receiver", _request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return answer


async def hang_up(_receiver: "Receiver", request: web.Request) -> web.StreamResponse:
    """Be as good as not there."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def dawdle(receiver: "Receiver", _request: web.Request) -> web.StreamResponse:
    """Answer when nobody waits any more."""
    await receiver.released.wait()
    return web.Response(status=204)


async def drop_the_answer(receiver: "Receiver", request: web.Request) -> web.StreamResponse:
    """Process the event, and fail before it is said."""
    await receiver.process(request)
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@dataclass
class Receiver:
    """What came. ``answers``: how requests of one event are answered, one after the other; the last one for ever.

    seen: how often each event's id came. most_at_once: requests that were under way together.
    """

    secret: str = ""
    url: str = ""
    answers: list[Answer] = field(default_factory=lambda: [take])
    received: list[Received] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)
    at_once: int = 0
    most_at_once: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ids(self) -> set[str]:
        return {received.id for received in self.received}

    async def has_received(self, count: int) -> bool:
        return len(self.received) >= count

    async def process(self, request: web.Request) -> None:
        """Verify as a receiver should, and keep."""
        raw, headers = await request.read(), dict(request.headers)
        headers = {name.lower(): value for name, value in headers.items()}
        self.received.append(Received(headers["webhook-id"], verify(self.secret, raw, headers), headers, raw))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        event_id = request.headers["webhook-id"]
        times = self.seen.get(event_id, 0)
        self.seen[event_id] = times + 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self.answers[min(times, len(self.answers) - 1)](self, request)
        finally:
            self.at_once -= 1


def verify(secret: str, raw: bytes, headers: dict[str, str]) -> dict[str, Any]:
    """Verify with both libraries; raises what they raise."""
    event: dict[str, Any] = Webhook(secret).verify(raw, headers)
    _OPENAI.verify_signature(raw, headers, secret=secret)
    return event


@asynccontextmanager
async def receiver(secret: str = "") -> AsyncIterator[Receiver]:
    """Run a receiver on this machine."""
    it = Receiver(secret)
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", it.answer)
    async with serving(app) as url:
        it.url = f"{url}/hook"
        try:
            yield it
        finally:
            it.released.set()
