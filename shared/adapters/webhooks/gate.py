"""What stands between a webhook's URL and the network: every address is judged before a connection to it is made."""

import socket
from ipaddress import ip_address

from aiohttp.abc import AbstractResolver, ResolveResult

from shared.adapters.webhooks.name_lookups import AddrInfo, NameLookups
from shared.domain.public_addresses import Address, AllowedNetworks
from shared.domain.webhook_urls import Target, refusal


class Refused(OSError):
    """A connection that must not be made. Its text is the reason."""


class Gate(AbstractResolver):
    """Resolves a name once for each connection, and refuses it if one of its addresses is refused.

    aiohttp connects to exactly the addresses it is given here; it asks nobody for a host that is an address already,
    so ``socket_for`` judges again what is connected to, whatever way it came.
    """

    def __init__(self, allowed: AllowedNetworks, names: NameLookups, *, is_encrypted: bool) -> None:
        """``is_encrypted``: whether the connections speak TLS; the others lead into allowed networks only."""
        self._allowed = allowed
        self._names = names
        self._is_encrypted = is_encrypted

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Give every address of a name, as aiohttp wants them. Raises ``Refused`` or ``OSError``."""
        del family  # both are asked for: all that the name leads to is judged
        found = await self._names.addresses(host, port)
        hosts = [self._judged(host, port, addr_info) for addr_info in found]
        if not hosts:
            raise OSError("the name has no address")
        return hosts

    async def close(self) -> None:
        """Do nothing: a lookup under way ends by itself."""

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
