"""Every response carries an ``x-request-id``: the client's own if it sent a sane one, else a new one."""

import re
from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER: Final = "x-request-id"
_RAW_HEADER: Final = HEADER.encode()
_SCOPE_KEY: Final = "forebay.request_id"
_SANE: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


class RequestIds:
    """The middleware that names requests."""

    def __init__(self, app: ASGIApp, make_id: Callable[[], str]) -> None:
        """``make_id`` makes an id for a request that brings none."""
        self._app = app
        self._make_id = make_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and its id back with the response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _brought(scope) or self._make_id()
        scope[_SCOPE_KEY] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (_RAW_HEADER, request_id.encode())]
            await send(message)

        await self._app(scope, receive, send_with_id)


def request_id_of(scope: Scope) -> str:
    """Give the id of the request with this scope."""
    return str(scope.get(_SCOPE_KEY, ""))


def _brought(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == _RAW_HEADER and _SANE.fullmatch(value):
            return str(value.decode())
    return None
