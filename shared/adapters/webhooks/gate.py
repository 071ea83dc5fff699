"""What stands between a webhook's URL and the network: every address is judged before a connection to it is made."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Any, Final, Protocol

from aiohttp.abc import AbstractResolver, ResolveResult

from shared.domain.public_addresses import Address, AllowedNetworks
from shared.domain.webhook_urls import Target, refusal

AddrInfo = tuple[Any, Any, int, str, tuple[Any, ...]]
"""Family, type, protocol, canonical name, and address: as ``socket.getaddrinfo`` gives it."""

_LOOKUPS_AT_ONCE: Final = 64
"""Threads for looking names up: names whose servers never answer must not hold up the others."""


class Lookup(Protocol):
    """Looks a name up, on a thread; as ``socket.getaddrinfo``."""

    def __call__(self, host: str, port: int, *, type: int) -> list[Any]:  # noqa: A002 - the socket module's word
        """Give the addresses, each as an ``AddrInfo``. Raises ``OSError``."""
        ...


class Refused(OSError):
    """A connection that must not be made. Its text is the reason."""


class Gate(AbstractResolver):
    """Resolves a name once for each connection, and refuses it if one of its addresses is refused.

    aiohttp connects to exactly the addresses it is given here; it asks nobody for a host that is an address already,
    so ``socket_for`` judges again what is connected to, whatever way it came.
    """

    def __init__(self, allowed: AllowedNetworks, lookup: Lookup, *, is_encrypted: bool) -> None:
        """``is_encrypted``: whether the connections speak TLS; the others lead into allowed networks only."""
        self._allowed = allowed
        self._lookup = lookup
        self._is_encrypted = is_encrypted
        self._threads = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, thread_name_prefix="webhook-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Give every address of a name, as aiohttp wants them. Raises ``Refused`` or ``OSError``."""
        del family  # both are asked for: all that the name leads to is judged
        loop = asyncio.get_running_loop()
        found: list[AddrInfo] = await loop.run_in_executor(
            self._threads, lambda: self._lookup(host, port, type=socket.SOCK_STREAM)
        )
        hosts = [self._judged(host, port, addr_info) for addr_info in found]
        if not hosts:
            raise OSError("the name has no address")
        return hosts

    async def close(self) -> None:
        """Let go of the threads; a lookup under way ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def socket_for(self, addr_info: AddrInfo) -> socket.socket:
        """Make the socket for a connection. Raises ``Refused``."""
        family, kind, protocol, _, address = addr_info
        host, port = address[0], address[1]
        self._judge(host, port, _address(addr_info))
        return socket.socket(family, kind, protocol)

    def _judged(self, host: str, port: int, addr_info: AddrInfo) -> ResolveResult:
        address = _address(addr_info)
        self._judge(host, port, address)
        return ResolveResult(
            hostname=host,
            host=str(address),
            port=port,
            family=socket.AF_INET if address.version == 4 else socket.AF_INET6,  # noqa: PLR2004 - IPv4
            proto=socket.IPPROTO_TCP,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )

    def _judge(self, host: str, port: int, address: Address) -> None:
        reason = refusal(address, Target(host, port, self._is_encrypted, None), self._allowed)
        if reason is not None:
            raise Refused(reason)


def _address(addr_info: AddrInfo) -> Address:
    """Give the address itself. Raises ``Refused`` for one with a scope, or in a spelling that is not the usual one."""
    host, _port, *flow_and_scope = addr_info[4]
    if any(flow_and_scope):
        raise Refused("its address has a scope, so it is not public.")
    try:
        return ip_address(host)
    except ValueError:
        raise Refused("its address is written in an unusual way.") from None
