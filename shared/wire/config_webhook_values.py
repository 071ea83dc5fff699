"""The kinds of values that say where webhooks may lead."""

from typing import Annotated, Final

from pydantic import PlainValidator

from shared.domain.public_addresses import AllowedNetworks

_ALLOWED: Final = "a list of networks such as 10.0.0.0/8 or fd00::/8"


def _networks(value: object) -> AllowedNetworks:
    if isinstance(value, AllowedNetworks):
        return value
    named = [] if value is None else value
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise ValueError(_ALLOWED)
    try:
        return AllowedNetworks.of(named)
    except ValueError as error:
        raise ValueError(f"{_ALLOWED}; {error}") from None


Networks = Annotated[AllowedNetworks, PlainValidator(_networks)]
