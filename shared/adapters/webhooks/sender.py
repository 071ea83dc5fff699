"""Sends webhooks with aiohttp, through the gate."""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from types import SimpleNamespace
from typing import Final
from urllib.parse import quote

import aiohttp
from yarl import URL

from shared.adapters.providers.retry_after import read_wait_s
from shared.adapters.webhooks.gate import Gate, Refused
from shared.adapters.webhooks.name_lookups import (
    DEADLINE_S,
    LONGEST_WAIT_S,
    Lookup,
    NameLookups,
    NotAnswered,
    NoTurn,
)
from shared.domain.clock import Clock, SystemClock
from shared.domain.errors import InvalidInput
from shared.domain.public_addresses import AllowedNetworks
from shared.domain.webhook_sender import Receipt
from shared.domain.webhook_urls import check_webhook_url

MOST_OF_AN_ANSWER: Final = 64 * 1024
"""Bytes of an answer that are read; an answer that goes on is cut there, and its status counts."""

TIMEOUT_S: Final = 15.0
"""Seconds for looking up, connecting, sending and reading, all together."""

_KEPT_ALIVE_S: Final = 3.0
"""Seconds a connection is kept for the next event: less than servers keep them, or they would hang up on one in use."""

_READ_AT_ONCE: Final = 16 * 1024
_PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))


class HttpWebhookSender:
    """Implements ``WebhookSender``.

    It follows no redirect, takes no proxy from the environment, keeps no cookie, and unpacks no answer. Connections that are
    kept for the next event were judged when they were made.
    """

    def __init__(
        self,
        allowed: AllowedNetworks,
        timeout_s: float = TIMEOUT_S,
        clock: Clock | None = None,
        lookup: Lookup = socket.getaddrinfo,
    ) -> None:
        """``lookup`` finds the addresses of names; it is called on a thread."""
        self._allowed = allowed
        self._timeout_s = timeout_s
        self._clock = clock or SystemClock()
        self._names = NameLookups(lookup, longest_wait_s=min(LONGEST_WAIT_S, timeout_s / 4))
        self._pools: dict[bool, _Pool] = {}

    async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> Receipt:
        """POST ``body`` once, as ``WebhookSender.send``."""
        began = self._clock.monotonic()
        answer, is_tried = _Answer(), True
        try:
            check_webhook_url(url, self._allowed, "url")
            async with asyncio.timeout(self._timeout_s):
                while not await self._post(url, body, headers, answer):
                    pass
            problem = None
        except InvalidInput as error:
            problem = error.message
        except TimeoutError:
            problem = f"There was no {'end of the ' if answer.status else ''}answer within {self._timeout_s:g} s."
        except (aiohttp.ClientError, OSError, ValueError) as error:
            problem, is_tried = _problem(error), not isinstance(_cause(error), NoTurn)
        duration_s = self._clock.monotonic() - began
        return Receipt(answer.status, problem, answer.retry_after_s, duration_s, is_tried=is_tried)

    async def close(self) -> None:
        """Close the connections; harmless when repeated."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.session.close()
            await pool.gate.close()

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str], answer: "_Answer") -> bool:
        """Send once. False: the connection was one kept from before, and the receiver had hung up on it."""
        exact = URL(quote(url, safe=_PRINTABLE), encoded=True)
        session = self._pool(is_encrypted=exact.scheme == "https").session
        answer.is_on_a_kept_connection = False
        try:
            async with session.post(
                exact, data=body, headers=headers, allow_redirects=False, trace_request_ctx=answer
            ) as response:
                await answer.read(response)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if answer.is_on_a_kept_connection and answer.status is None:
                return False
            raise
        return True

    def _pool(self, *, is_encrypted: bool) -> "_Pool":
        if is_encrypted not in self._pools:
            self._pools[is_encrypted] = _pool(Gate(self._allowed, self._names, is_encrypted=is_encrypted))
        return self._pools[is_encrypted]


@dataclass(slots=True)
class _Answer:
    """What has come so far."""

    status: int | None = None
    retry_after_s: float | None = None
    is_on_a_kept_connection: bool = False

    async def read(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.retry_after_s = read_wait_s({name.lower(): value for name, value in response.headers.items()}, "")
        left = MOST_OF_AN_ANSWER
        while left > 0 and (piece := await response.content.read(min(left, _READ_AT_ONCE))):
            left -= len(piece)


@dataclass(frozen=True, slots=True)
class _Pool:
    """Connections of one scheme, and the gate they go through."""

    session: aiohttp.ClientSession
    gate: Gate


async def _note_a_kept_connection(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _: aiohttp.TraceConnectionReuseconnParams
) -> None:
    context.trace_request_ctx.is_on_a_kept_connection = True


def _pool(gate: Gate) -> _Pool:
    connector = aiohttp.TCPConnector(
        resolver=gate,
        socket_factory=gate.socket_for,
        use_dns_cache=False,
        limit=0,
        keepalive_timeout=_KEPT_ALIVE_S,
        ssl=ssl.create_default_context(),
    )
    tracing = aiohttp.TraceConfig()
    tracing.on_connection_reuseconn.append(_note_a_kept_connection)
    session = aiohttp.ClientSession(
        trace_configs=[tracing],
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        trust_env=False,
        auto_decompress=False,
        read_bufsize=_READ_AT_ONCE,
        headers={"user-agent": f"Forebay-Webhooks/{version('forebay')}", "accept-encoding": "identity"},
    )
    return _Pool(session, gate)


_PROBLEMS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (aiohttp.ClientConnectorCertificateError, "The receiver's certificate is not valid for its name."),
    (aiohttp.ClientSSLError, "The receiver speaks no TLS that is understood here."),
    (aiohttp.ClientConnectorDNSError, "The receiver's name has no address."),
    (aiohttp.ClientConnectorError, "The receiver cannot be reached."),
    (aiohttp.ServerDisconnectedError, "The receiver hung up before it answered."),
    (aiohttp.ClientConnectionError, "The connection to the receiver broke."),
    (aiohttp.ClientPayloadError, "The receiver's answer broke off."),
    (OSError, "The connection to the receiver broke."),
    (Exception, "The receiver's answer cannot be understood."),
)
"""What is said of an error: of the first class that fits."""


def _problem(error: Exception) -> str:
    """Say what went wrong, without the URL: it may hold a secret."""
    cause = _cause(error)
    if isinstance(cause, Refused):
        return f"The URL cannot be a webhook: {cause}"
    if isinstance(cause, NotAnswered):
        return f"The receiver's name was not answered within {DEADLINE_S:g} s."
    if isinstance(cause, NoTurn):
        return "Too many names were being looked up."
    return next(sentence for kind, sentence in _PROBLEMS if isinstance(error, kind))


def _cause(error: Exception) -> object:
    """Give what the gate raised, if that is in it."""
    return getattr(error, "os_error", error)
