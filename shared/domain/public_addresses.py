"""Which addresses are public, and which others the owner of an installation allows.

``ipaddress.is_global`` answers differently from one Python version to the next, so the ranges stand here: those of IANA's
registries of special-purpose addresses (RFC 6890), and what clouds serve their credentials on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NOT_PUBLIC_IPV4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # "this network"; 0.0.0.0 leads to the machine itself
            "10.0.0.0/8",
            "100.64.0.0/10",  # carriers' NAT
            "127.0.0.0/8",
            "168.63.129.16/32",  # Azure's host
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",  # documentation, as 198.51.100.0 and 203.0.113.0
            "192.31.196.0/24",  # AS112, as 192.175.48.0
            "192.52.193.0/24",  # relays of multicast
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)

_UNICAST_IPV6: Final = IPv6Network("2000::/3")
"""All that is assigned for the public. Loopback, mapped, translated, unique local, link-local, site-local and multicast
addresses and those of NAT64 lie outside of it."""

_NOT_PUBLIC_IPV6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # Teredo, benchmarks, ORCHID and other protocols' own
            "2001:db8::/32",  # documentation, as 3fff::
            "2002::/16",  # 6to4: leads to the IPv4 address within
            "2620:4f:8000::/48",  # AS112
            "3ffe::/16",  # the 6bone, given back
            "3fff::/20",
        ),
    )
)

_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})
"""The third quarter of an address that ends in an IPv4 address to which it leads."""

_METADATA: Final[frozenset[Address]] = frozenset(
    {
        *map(IPv4Address, ("100.100.100.200", "168.63.129.16", "192.0.0.192")),
        *map(IPv4Address, ("169.254.169.123", "169.254.169.253", "169.254.169.254", "169.254.170.2", "169.254.170.23")),
        *map(IPv6Address, ("fd00:ec2::23", "fd00:ec2::253", "fd00:ec2::254", "fd20:ce::254")),
    }
)
"""Where clouds answer to their own machines: with credentials, mostly."""


_OF_THE_MACHINE: Final = tuple(map(ip_network, ("0.0.0.0/8", "127.0.0.0/8", "::/128", "::1/128")))
_LINK_LOCAL: Final = tuple(map(ip_network, ("169.254.0.0/16", "fe80::/10")))


def is_public(address: Address) -> bool:
    """Tell whether an address is unicast, and anybody's to reach; not so what leads to another address within it."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_IPV4)
    if address.scope_id is not None or address not in _UNICAST_IPV6:
        return False
    if int(address) >> 32 & 0xFFFFFFFF in _ISATAP:
        return False
    return not any(address in network for network in _NOT_PUBLIC_IPV6)


@dataclass(frozen=True, slots=True)
class AllowedNetworks:
    """Networks whose addresses may be called though they are not public.

    An address that clouds serve credentials on is not allowed by a network around it, only by itself.
    """

    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, texts: Iterable[str]) -> "AllowedNetworks":
        """Read such as ``10.0.0.0/8`` and ``fd12:3456::/32``. Raises ``ValueError``, which names the first bad one."""
        return cls(tuple(map(_network, texts)))

    def __bool__(self) -> bool:
        """Whether anything is allowed."""
        return bool(self.networks)

    def __contains__(self, address: Address) -> bool:
        """Whether the address, or the IPv4 address that is mapped into it, is allowed."""
        if isinstance(address, IPv6Address):
            if address.scope_id is not None:
                return False
            address = address.ipv4_mapped or address
        return any(address in network for network in self.networks if _may_open(network, address))

    def overlap(self, network: Network) -> bool:
        """Whether some address of ``network`` is allowed."""
        return any(mine.version == network.version and mine.overlaps(network) for mine in self.networks)


def doubt_about(network: Network) -> str | None:
    """Say what is dangerous in allowing a network; None: nothing that is known for it."""
    if network.prefixlen == 0:
        return f"allows every IPv{network.version} address: whoever may submit jobs can call anything that the couriers reach."
    if any(network.version == one.version and network.overlaps(one) for one in _OF_THE_MACHINE):
        return "allows loopback addresses: whoever may submit jobs can call what listens on the couriers' own machines."
    if network.num_addresses == 1 and network.network_address in _METADATA:
        return "is an address on which clouds serve credentials to their machines."
    if any(network.version == one.version and network.overlaps(one) for one in _LINK_LOCAL):
        return "allows link-local addresses, among which clouds serve their machines."
    return None


def _may_open(network: Network, address: Address) -> bool:
    return address not in _METADATA or network.num_addresses == 1


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no network such as '10.0.0.0/8' or 'fd12:3456::/32' ({error})") from None
