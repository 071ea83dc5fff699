"""The line from a client to a server: requests, repeated where that is safe, and answers, read."""

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import aiohttp
import orjson

from forebay.unreachable import why_unreachable
from shared.domain.clock import Clock
from shared.domain.errors import ForebayError, Unavailable

Json = dict[str, Any]

MAX_TRIES: Final = 6
"""Tries of one call; with the pauses between them, about 15 seconds."""

_FIRST_PAUSE_S: Final = 0.5
_CONNECT_TIMEOUT_S: Final = 5.0
_ANSWER_TIMEOUT_S: Final = 90.0
"""Of silence; more than a long poll of ours takes."""

_UNAVAILABLE: Final = 503
_NOT_FOUND: Final = 404
_CODES_OF_NOT_FOUND: Final = frozenset({"not_found", "model_not_found", "unknown_path"})
_FIRST_ERROR_STATUS: Final = 400


class ApiError(ForebayError):
    """The API refused a call."""

    def __init__(self, status: int, error: Mapping[str, Any], retry_after_s: float | None = None) -> None:
        """``status`` is the HTTP status, ``error`` the ``error`` object of the answer's body."""
        super().__init__(str(error.get("message") or f"the server answered with HTTP status {status}"))
        self.status = status
        self.code: str | None = error.get("code")
        self.type: str | None = error.get("type")
        self.param: str | None = error.get("param")
        self.retry_after_s = retry_after_s


class Unreachable(Unavailable):
    """No server answers at that address."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request. ``is_repeatable``: doing it twice is as doing it once, though it is no GET."""

    method: str
    path: str
    parameters: Mapping[str, str] | None = None
    body: bytes | AsyncIterable[bytes] | None = None
    headers: Mapping[str, str] | None = None
    is_repeatable: bool = False

    @property
    def may_be_sent_twice(self) -> bool:
        """Whether it may be sent again after a failure that leaves open what became of it."""
        if self.method == "GET" or self.is_repeatable:
            return True
        return isinstance(self.body, bytes) and "idempotency-key" in (self.headers or {})


class Line:
    """A connection to one server, for one API key."""

    def __init__(self, url: str, api_key: str, clock: Clock) -> None:
        """``url`` is the server's root."""
        self._root = url.rstrip("/")
        self._api_key = api_key
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self.was_reached = False

    async def open(self) -> None:
        """Be ready to send."""
        self._session = aiohttp.ClientSession(
            headers={"authorization": f"Bearer {self._api_key}"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S, sock_read=_ANSWER_TIMEOUT_S),
        )

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()

    async def pages(self, path: str, parameters: dict[str, str]) -> AsyncIterator[Json]:
        """Yield what is listed there, page after page; ``parameters`` of the first one."""
        while True:
            listing = await self.send(Call("GET", path, parameters))
            for item in listing["data"]:
                yield item
            after = listing.get("next_after")
            if after is None:
                return
            parameters = parameters | {"after": after}

    async def send(self, call: Call) -> Json:
        """Send a request, again where that is safe and may help; give the answer's JSON object.

        Raises:
            ApiError: the server refuses.
            Unreachable: there is none.
        """
        pause_s = _FIRST_PAUSE_S
        for _ in range(MAX_TRIES - 1):
            try:
                return await self._send_once(call)
            except Unreachable as error:
                if not self.was_reached:
                    raise
                nothing_was_sent = isinstance(error.__cause__, aiohttp.ClientConnectorError)
                if not (call.may_be_sent_twice or (nothing_was_sent and isinstance(call.body, bytes))):
                    raise
            except ApiError as error:
                if error.status != _UNAVAILABLE or not call.may_be_sent_twice:
                    raise
                pause_s = max(pause_s, error.retry_after_s or 0.0)
            await self._clock.sleep(pause_s)
            pause_s *= 2
        return await self._send_once(call)

    async def _send_once(self, call: Call) -> Json:
        if self._session is None:
            raise RuntimeError("use the client with `async with`")
        streams = call.body is not None and not isinstance(call.body, bytes)
        try:
            async with self._session.request(
                call.method,
                self._root + call.path,
                params=call.parameters,
                # As a stream a large body goes out in pieces; aiohttp warns of those that do not.
                data=BytesIO(call.body) if isinstance(call.body, bytes) else call.body,
                headers=call.headers,
                expect100=streams,  # a refusal, such as of a wrong key, comes before the upload
            ) as answer:
                self.was_reached = True
                return _read(answer, await answer.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"Cannot reach Forebay at {self._root}: {why_unreachable(error)}") from error


def _read(answer: aiohttp.ClientResponse, body: bytes) -> Json:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if answer.status >= _FIRST_ERROR_STATUS:
        error = document.get("error") if isinstance(document, dict) else None
        if answer.status == _NOT_FOUND and not (isinstance(error, dict) and error.get("code") in _CODES_OF_NOT_FOUND):
            raise ApiError(answer.status, _another_server(answer))
        raise ApiError(answer.status, error if isinstance(error, dict) else {}, _retry_after(answer))
    if not isinstance(document, dict):
        raise ApiError(answer.status, _another_server(answer))
    return document


def _another_server(answer: aiohttp.ClientResponse) -> Json:
    return {"message": f"{answer.url.origin()} did not answer as Forebay does. Is FOREBAY_URL right?"}


def _retry_after(answer: aiohttp.ClientResponse) -> float | None:
    value = answer.headers.get("retry-after", "")
    return float(value) if value.replace(".", "", 1).isdigit() else None
