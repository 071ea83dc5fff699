"""The thin client for endpoints that speak the OpenAI wire: the request goes through as it is."""

import asyncio
from collections.abc import Mapping
from io import BytesIO
from typing import Any, Final

import aiohttp
import orjson

from shared.adapters.providers.errors import from_response
from shared.adapters.providers.model_names import without_prefix
from shared.adapters.providers.retry_after import rate_limit_headers
from shared.adapters.providers.usage import read_usage
from shared.domain.errors import ConnectionFailed, InvalidRequest, TimedOut, UnexpectedAnswer
from shared.domain.providers import ProviderAnswer
from shared.domain.routing import OPENAI_API_BASE, Deployment

LARGEST_ANSWER: Final = 64 * 1024 * 1024
"""Bytes of an answer, unpacked; what is larger is an ``UnexpectedAnswer``."""

_CONNECT_DEADLINE_S: Final = 10.0
_LARGE_BODY: Final = 1024 * 1024
_OK: Final = 200
_FIRST_REDIRECT: Final = 300
_STREAMING: Final = frozenset({"stream", "stream_options"})


class OpenAIHttpClient:
    """Keeps one pool of connections for all deployments; the limits stand elsewhere, so the pool has none.

    It takes no proxy from the environment, follows no redirect and keeps no cookie.
    """

    def __init__(self) -> None:
        """Connect to nothing yet; the pool is made by the first call, on its event loop."""
        self._session: aiohttp.ClientSession | None = None

    async def call(self, deployment: Deployment, endpoint: str, request: Mapping[str, Any]) -> ProviderAnswer:
        """Make one call, as ``ProviderClient.call``. A request for a stream is answered whole."""
        body = _body(deployment, request)
        try:
            async with asyncio.timeout(deployment.timeout_s):
                status, headers, answer = await self._post(deployment, endpoint, body)
        except aiohttp.ConnectionTimeoutError:
            raise ConnectionFailed(f"The provider could not be reached within {_CONNECT_DEADLINE_S:g} s.") from None
        except TimeoutError:
            raise TimedOut(f"The provider did not answer within {deployment.timeout_s:g} s.") from None
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
            raise ConnectionFailed(f"The connection to the provider failed ({type(error).__name__}).") from None
        except (aiohttp.ClientError, ValueError) as error:
            raise UnexpectedAnswer(f"The call could not be made or understood ({type(error).__name__}).") from None
        return _read(status, headers, answer)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(self, deployment: Deployment, endpoint: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        url = (deployment.api_base or OPENAI_API_BASE).rstrip("/") + endpoint.removeprefix("/v1")
        headers = {"content-type": "application/json"}
        if deployment.api_key:
            headers["authorization"] = f"Bearer {deployment.api_key.strip()}"
        # As a stream a large body goes out in pieces, and holds up nobody else's call.
        data = body if len(body) <= _LARGE_BODY else BytesIO(body)
        async with self._pool().post(url, data=data, headers=headers, allow_redirects=False) as response:
            answer = await _read_capped(response)
            return response.status, {name.lower(): value for name, value in response.headers.items()}, answer

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


def _body(deployment: Deployment, request: Mapping[str, Any]) -> bytes:
    passed_on = {name: value for name, value in request.items() if name not in _STREAMING}
    try:
        return orjson.dumps(passed_on | {"model": without_prefix(deployment.model)})
    except orjson.JSONEncodeError as error:
        raise InvalidRequest(f"The request cannot be written as JSON ({type(error).__name__}).") from None


async def _read_capped(response: aiohttp.ClientResponse) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > LARGEST_ANSWER:
            raise UnexpectedAnswer(f"The answer is larger than {LARGEST_ANSWER} bytes.", status=response.status)
        pieces.append(piece)
    return b"".join(pieces)


def _read(status: int, headers: dict[str, str], answer: bytes) -> ProviderAnswer:
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
    if not (isinstance(body.get("choices") or body.get("data"), list)):
        raise UnexpectedAnswer("The answer has neither `choices` nor `data`.", status=status)
    return ProviderAnswer(body, read_usage(body), rate_limit_headers(headers))
