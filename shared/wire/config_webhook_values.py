"""The kinds of values that say where webhooks may lead, how many go at once, and how long each may take."""

from ipaddress import ip_network
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainValidator, TypeAdapter

from shared.domain.public_addresses import AllowedNetworks, Network
from shared.wire.config_values import seconds_within, whole_within

_ONE: Final = "a network such as 10.0.0.0/8 or fd00::/8"
_ALLOWED: Final = f"a list of networks such as {_ONE.removeprefix('a network such as ')}"


def _network(value: object) -> Network:
    if not isinstance(value, str):
        raise ValueError(_ONE)  # noqa: TRY004 - pydantic reports a ValueError with its path, and lets a TypeError pass
    try:
        return ip_network(value)
    except ValueError:
        raise ValueError(f"{_ONE}{_hint(value)}") from None


def _hint(text: str) -> str:
    try:
        return f" (host bits are set; did you mean {ip_network(text, strict=False)}?)"
    except ValueError:
        return ""


_LIST: Final = TypeAdapter(list[Annotated[Network, PlainValidator(_network)]])


def _networks(value: object) -> AllowedNetworks:
    if isinstance(value, AllowedNetworks):
        return value
    named = [] if value is None else value
    if not isinstance(named, list):
        raise ValueError(_ALLOWED)  # noqa: TRY004 - as above
    return AllowedNetworks(tuple(_LIST.validate_python(named)))


Networks = Annotated[AllowedNetworks, PlainValidator(_networks)]
Timeout = Annotated[float, BeforeValidator(seconds_within(1, 60))]
AtOnce = Annotated[int, BeforeValidator(whole_within(1, 256))]
