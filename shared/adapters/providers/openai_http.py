"""The thin client for endpoints that speak the OpenAI wire: the request goes through as it is."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from io import BytesIO
from typing import Any, Final

import aiohttp
import orjson

from shared.adapters.providers.errors import from_response
from shared.adapters.providers.model_names import without_prefix
from shared.adapters.providers.retry_after import rate_limit_headers
from shared.adapters.providers.streamed_answer import LONGEST_STREAM_S, StreamedAnswer, to_be_ended_within
from shared.adapters.providers.usage import read_usage
from shared.domain.provider_errors import ConnectionFailed, InvalidRequest, ProviderError, TimedOut, UnexpectedAnswer
from shared.domain.providers import OnPiece, ProviderAnswer
from shared.domain.routing import OPENAI_API_BASE, Deployment
from shared.wire.chat_chunks import with_usage
from shared.wire.event_stream import EventStreamReader
from shared.wire.openai import Endpoint

LARGEST_ANSWER: Final = 64 * 1024 * 1024
"""Bytes of an answer, unpacked; what is larger is an ``UnexpectedAnswer``."""

_CONNECT_DEADLINE_S: Final = 10.0
_LARGE_BODY: Final = 1024 * 1024
_OK: Final = 200
_FIRST_REDIRECT: Final = 300
_REST_DEADLINE_S: Final = 0.1
_DONE: Final = b"[DONE]"
_STREAMING: Final = frozenset({"stream", "stream_options"})


class OpenAIHttpClient:
    """Keeps one pool of connections for all deployments; the limits stand elsewhere, so the pool has none.

    It takes no proxy from the environment, follows no redirect and keeps no cookie.
    """

    def __init__(self, longest_stream_s: float = LONGEST_STREAM_S) -> None:
        """Connect to nothing yet; the pool is made by the first call, on its event loop."""
        self._longest_stream_s = longest_stream_s
        self._session: aiohttp.ClientSession | None = None

    async def call(self, deployment: Deployment, endpoint: str, request: Mapping[str, Any]) -> ProviderAnswer:
        """Make one call, as ``ProviderClient.call``. A request for a stream is answered whole."""
        body = _body(deployment, request)
        with _translated(deployment):
            async with asyncio.timeout(deployment.timeout_s), self._post(deployment, endpoint, body) as response:
                pieces = [piece async for piece in _capped(response)]
        return _read(response, b"".join(pieces), endpoint)

    async def stream(
        self, deployment: Deployment, endpoint: str, request: Mapping[str, Any], on_piece: OnPiece
    ) -> ProviderAnswer:
        """Make one call, as ``ProviderClient.stream``."""
        if endpoint != Endpoint.CHAT_COMPLETIONS:
            return await self.call(deployment, endpoint, request)
        body = _body(deployment, request, stream=True, stream_options=with_usage(request))
        streamed = StreamedAnswer(request, on_piece)
        headers: dict[str, str] = {}
        try:
            with _translated(deployment):
                async with (
                    to_be_ended_within(max(self._longest_stream_s, deployment.timeout_s)),
                    asyncio.timeout(deployment.timeout_s) as patience,
                    self._post(deployment, endpoint, body) as response,
                ):
                    headers = rate_limit_headers(response.headers)
                    return await _read_stream(response, streamed, patience, deployment.timeout_s)
        except ProviderError as error:
            return streamed.after(error, headers)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _post(
        self, deployment: Deployment, endpoint: str, body: bytes
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        url = (deployment.api_base or OPENAI_API_BASE).rstrip("/") + endpoint.removeprefix("/v1")
        headers = {"content-type": "application/json"}
        if deployment.api_key:
            headers["authorization"] = f"Bearer {deployment.api_key.strip()}"
        # As a stream a large body goes out in pieces, and holds up nobody else's call.
        data = body if len(body) <= _LARGE_BODY else BytesIO(body)
        return self._pool().post(url, data=data, headers=headers, allow_redirects=False)

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(sock_connect=_CONNECT_DEADLINE_S),
                trust_env=False,
                headers={"user-agent": "forebay"},
            )
        return self._session


@contextmanager
def _translated(deployment: Deployment) -> Iterator[None]:
    try:
        yield
    except aiohttp.ConnectionTimeoutError:
        raise ConnectionFailed(f"The provider could not be reached within {_CONNECT_DEADLINE_S:g} s.") from None
    except TimeoutError:
        raise TimedOut(f"The provider did not answer within {deployment.timeout_s:g} s.") from None
    except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
        raise ConnectionFailed(f"The connection to the provider failed ({type(error).__name__}).") from None
    except (aiohttp.ClientError, ValueError) as error:
        raise UnexpectedAnswer(f"The call could not be made or understood ({type(error).__name__}).") from None


def _body(deployment: Deployment, request: Mapping[str, Any], **more: object) -> bytes:
    passed_on = {name: value for name, value in request.items() if name not in _STREAMING}
    try:
        return orjson.dumps(passed_on | more | {"model": without_prefix(deployment.model)})
    except orjson.JSONEncodeError as error:
        raise InvalidRequest(f"The request cannot be written as JSON ({type(error).__name__}).") from None


async def _capped(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    size = 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > LARGEST_ANSWER:
            raise UnexpectedAnswer(f"The answer is larger than {LARGEST_ANSWER} bytes.", status=response.status)
        yield piece


async def _read_stream(
    response: aiohttp.ClientResponse, streamed: StreamedAnswer, patience: asyncio.Timeout, timeout_s: float
) -> ProviderAnswer:
    """Read server-sent events to their end, or what came instead. Whoever takes the chunks has all the time he needs."""
    loop = asyncio.get_running_loop()
    events = EventStreamReader()
    headers = rate_limit_headers(response.headers)
    no_stream: list[bytes] | None = [] if response.status != _OK else None
    is_at_the_beginning = True
    async for received in _capped(response):
        if is_at_the_beginning and received.lstrip().startswith(b"{"):
            no_stream = []  # it was asked for a stream, and answers whole
        is_at_the_beginning = is_at_the_beginning and received.isspace()
        if no_stream is not None:
            no_stream.append(received)
            continue
        for event in events.feed(received):
            patience.reschedule(None)
            if event.data == _DONE:
                await _read_the_rest(response)
                return streamed.whole(headers, was_ended=True)
            if event.data:
                await streamed.take(event.data)
            patience.reschedule(loop.time() + timeout_s)
    if no_stream is not None:
        return _read(response, b"".join(no_stream), Endpoint.CHAT_COMPLETIONS)
    last = events.end()
    if last is not None and last.data != _DONE and not streamed.is_whole:
        await streamed.take(last.data)
    return streamed.whole(headers, was_ended=last is not None and last.data == _DONE)


async def _read_the_rest(response: aiohttp.ClientResponse) -> None:
    """Read what follows the end, so that the connection can be used again."""
    with suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(_REST_DEADLINE_S):
            async for _ in response.content.iter_any():
                pass


def _read(response: aiohttp.ClientResponse, answer: bytes, endpoint: str) -> ProviderAnswer:
    status, headers = response.status, {name.lower(): value for name, value in response.headers.items()}
    if not _OK <= status < _FIRST_REDIRECT:
        raise from_response(status, headers, answer)
    try:
        body = orjson.loads(answer)
    except orjson.JSONDecodeError:
        raise UnexpectedAnswer("The answer is not JSON.", status=status) from None
    if not isinstance(body, dict):
        raise UnexpectedAnswer("The answer is not a JSON object.", status=status)
    if isinstance(body.get("error"), dict):  # some gateways put an error into a 200
        code = body["error"].get("code")
        raise from_response(code if isinstance(code, int) else status, headers, answer)
    name = "choices" if endpoint == Endpoint.CHAT_COMPLETIONS else "data"
    said = body.get(name)
    if not isinstance(said, list) or not said or not all(isinstance(each, dict) for each in said):
        raise UnexpectedAnswer(f"The answer has no `{name}`.", status=status)
    return ProviderAnswer(body, read_usage(body), rate_limit_headers(headers))
