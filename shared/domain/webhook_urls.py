"""Which URLs may be webhooks. Users name them, and our own machines call them: so only what anybody could call as well.

A URL is judged when it is named, by what can be seen of it. What its host's name leads to is judged at each connection,
by ``refusal``: names are answered differently from one moment to the next.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final
from urllib.parse import urlsplit

from shared.domain.errors import InvalidInput
from shared.domain.public_addresses import Address, AllowedNetworks, is_public
from shared.domain.webhook_ports import ALLOWED_PORTS, is_for_webhooks

__all__ = ["AllowedNetworks", "Target", "check_webhook_url", "is_public", "refusal", "target_of"]

LONGEST_URL: Final = 2048
"""Characters."""

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_AUTHORITY: Final = re.compile(r"(?:\[(?P<bracketed>[^\[\]]*)\]|(?P<host>[^\[\]:]+))(?::(?P<port>[0-9]{0,5}))?")
_LONGEST_HOST: Final = 253
_LONGEST_QUOTE: Final = 100
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
_NUMBER: Final = re.compile(r"\d+|0x[0-9a-f]*", re.IGNORECASE)
_LOOPBACK: Final = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
_INTERNAL: Final = frozenset({"corp", "home", "internal", "intranet", "lan", "local", "localdomain", "private"})
"""Last parts of names that are known only inside of a network."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a URL calls. ``address``: of a host that is one, so that no name has to be looked up."""

    host: str
    port: int
    is_encrypted: bool
    address: Address | None


def check_webhook_url(url: str, allowed: AllowedNetworks, param: str) -> None:
    """Judge a URL that somebody names in ``param``.

    Raises:
        InvalidInput: it says what was found and what is allowed; it quotes the host and the port, nothing else.
    """
    try:
        target = target_of(url)
        reason = _refusal_of_target(target, allowed)
    except ValueError as error:
        reason = str(error)
    if reason is not None:
        raise InvalidInput(f"`{param}` cannot be a webhook: {reason}", param=param, code="invalid_webhook_url")


def target_of(url: str) -> Target:
    """Read whom a URL calls. Raises ``ValueError``: no webhook can be there; the reason, as a sentence."""
    if len(url) > LONGEST_URL:
        raise ValueError(f"it has {len(url)} characters; allowed: at most {LONGEST_URL}.")
    if " " in url or "\\" in url or not url.isprintable():
        raise ValueError("it has a space, a backslash or a control character; allowed: such percent-encoded.")
    if "#" in url:
        raise ValueError("it has a fragment (`#`), which no server gets to see; allowed: a URL without.")
    scheme, authority = _scheme_and_authority(url)
    if "@" in authority:
        raise ValueError(
            "it has a user or a password (`@`); allowed: a URL without, since a signature proves who sends."
        )
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise ValueError("its host or port cannot be read; allowed: a name, an IPv4 address, or an IPv6 address in [].")
    host = found["bracketed"] or found["host"] or ""
    address = _ipv4(host) if found["bracketed"] is None else _ipv6(host)
    return Target(host, int(found["port"] or _DEFAULT_PORTS[scheme]), scheme == "https", address)


def refusal(address: Address, target: Target, allowed: AllowedNetworks) -> str | None:
    """Say why a connection to ``address``, for ``target``, must not be made; None: it may.

    The sentence names the host, never the address that it leads to: how names are answered inside is nobody's business.
    """
    if address in allowed:
        return None
    if not is_public(address):
        return (
            f"`{_quoted(target.host)}` {'is' if target.address else 'leads to'} an address that is not public; allowed: "
            "public addresses, and the networks in `forebay.webhooks.allow_networks`."
        )
    if not target.is_encrypted:
        return _NEEDS_HTTPS
    if not is_for_webhooks(target.port):
        return f"it calls port {target.port}; allowed: {ALLOWED_PORTS}."
    return None


_NEEDS_HTTPS: Final = (
    "it begins with `http://`; allowed: `https://`, and `http://` only into the networks in "
    "`forebay.webhooks.allow_networks`."
)


def _refusal_of_target(target: Target, allowed: AllowedNetworks) -> str | None:
    if target.address is not None:
        return refusal(target.address, target, allowed)
    labels = target.host.removesuffix(".").lower().split(".")
    is_local = labels[-1] == "localhost" and not any(allowed.overlap(network) for network in _LOOPBACK)
    if is_local or (not allowed and (len(labels) == 1 or labels[-1] in _INTERNAL or labels[-2:] == ["home", "arpa"])):
        return (
            f"the name `{_quoted(target.host)}` is known only inside of a network; allowed: names that are public, or "
            "that lead into the networks in `forebay.webhooks.allow_networks`."
        )
    if allowed:  # the name may lead there: its scheme and its port are judged by the addresses
        return None
    if not target.is_encrypted:
        return _NEEDS_HTTPS
    if not is_for_webhooks(target.port):
        return f"it calls port {target.port}; allowed: {ALLOWED_PORTS}."
    return None


def _scheme_and_authority(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("it cannot be read; allowed: an absolute URL such as `https://example.com/hook`.") from None
    if parts.scheme and parts.scheme not in _DEFAULT_PORTS and parts.netloc:
        raise ValueError(
            f"its scheme is `{_quoted(parts.scheme)}`; allowed: `https://`, such as `https://example.com/hook`."
        )
    if parts.scheme not in _DEFAULT_PORTS or not parts.netloc:
        raise ValueError("it is no absolute URL; allowed: one such as `https://example.com/hook`.")
    return parts.scheme, parts.netloc


def _ipv4(host: str) -> IPv4Address | None:
    """Read a host that is an address; None: it is a name. Raises ``ValueError``: it is neither, or oddly written."""
    labels = host.removesuffix(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return IPv4Address(host)
        except ValueError:
            raise ValueError(
                f"its host `{_quoted(host)}` is no IPv4 address as it is usually written; allowed: four numbers from 0 "
                "to 255, such as `192.0.2.1`."
            ) from None
    if len(host) > _LONGEST_HOST or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(
            f"its host `{_quoted(host)}` is no name; allowed: letters a to z, digits, `-`, `_` and dots; write others "
            "in their `xn--` form."
        )
    return None


def _ipv6(host: str) -> IPv6Address:
    if "%" in host:
        raise ValueError("its address has a scope (`%`); allowed: addresses without, which are public.")
    try:
        return IPv6Address(host)
    except ValueError:
        raise ValueError(
            f"its host `[{_quoted(host)}]` is no IPv6 address; allowed: one such as `[2001:db8::1]`."
        ) from None


def _quoted(host: str) -> str:
    return host if len(host) <= _LONGEST_QUOTE else host[:_LONGEST_QUOTE] + "…"
