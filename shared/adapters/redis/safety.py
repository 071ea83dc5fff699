"""How safe a Redis server's settings are for what is kept in it."""

import asyncio
from collections.abc import Mapping
from typing import Final

from redis.exceptions import ResponseError

from shared.adapters.redis.connection import LIBRARY_ERRORS, Client
from shared.adapters.redis.round_trips import DEADLINE_S
from shared.domain.errors import StoreUnavailable

_ASKED: Final = ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy")

COULD_NOT_LOOK: Final = (
    "The server does not let its settings be read (CONFIG GET), as managed ones often do not. See to it that "
    "it keeps an append-only file, synced at each write, and that its maxmemory-policy is noeviction."
)


async def unsafe_settings(client: Client) -> list[str]:
    """Give a sentence for each setting with which accepted jobs can be lost; none: all is well.

    Of a cluster one node is asked, because all should be set alike.

    Raises:
        StoreUnavailable: the server does not answer, or does not let us in.
    """
    try:
        async with asyncio.timeout(DEADLINE_S):
            settings = await _settings(client)
    except ResponseError:
        return [COULD_NOT_LOOK]
    except (*LIBRARY_ERRORS, OSError) as error:
        raise StoreUnavailable(f"The store cannot be reached ({type(error).__name__}).") from None
    return _doubts(settings) if settings else [COULD_NOT_LOOK]


async def _settings(client: Client) -> Mapping[str, str]:
    await client.ping()
    found = await client.config_get(*_ASKED)
    return {_text(name): _text(value) for name, value in found.items()}


def _doubts(settings: Mapping[str, str]) -> list[str]:
    doubts = []
    if settings.get("appendonly") != "yes":
        doubts.append(
            "appendonly is no: what was written since the last snapshot is lost when the server stops. "
            "Set `appendonly yes` and `appendfsync always`."
        )
    elif (sync := settings.get("appendfsync")) != "always":
        doubts.append(
            f"appendfsync is {sync}: the last second or more of accepted jobs may be lost when the machine stops. "
            "Set `appendfsync always`."
        )
    policy = settings.get("maxmemory-policy", "noeviction")
    if policy != "noeviction":
        now = " (there is no maxmemory now, so nothing is evicted yet)" if settings.get("maxmemory") == "0" else ""
        doubts.append(
            f"maxmemory-policy is {policy}: a full server forgets jobs{now}. Set `maxmemory-policy noeviction`."
        )
    return doubts


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
