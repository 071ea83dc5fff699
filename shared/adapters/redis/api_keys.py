"""The records of the API keys, all in one slot of a cluster. Of a key itself only its SHA-256 is here, and how it begins."""

from dataclasses import replace
from typing import Final

import orjson
from pydantic import TypeAdapter

from shared.adapters.redis.connection import Client
from shared.adapters.redis.keys import API_KEY_HASHES, API_KEY_INDEX, API_KEYS, api_key_index
from shared.adapters.redis.round_trips import RoundTrips, ScriptCall
from shared.adapters.redis.scripts import ADD_API_KEY, PAGE_OF_API_KEYS
from shared.domain.api_keys import ApiKey, ApiKeyPage

_RECORD: Final = TypeAdapter(ApiKey)


class RedisApiKeys:
    """Implements ``ApiKeys``."""

    def __init__(self, client: Client) -> None:
        """``client``: as ``connection.connect`` gives it."""
        self._server = RoundTrips(client)

    async def add(self, key: ApiKey, key_hash: str) -> None:
        """Keep a new key."""
        names = [API_KEYS, API_KEY_HASHES, API_KEY_INDEX, api_key_index(key.team)]
        await self._server.run(ScriptCall(ADD_API_KEY, names, [key.id, key_hash, orjson.dumps(key)]))

    async def revoke(self, key_id: str, now: float) -> ApiKey | None:
        """Let a key open nothing any more. Nothing else changes a record, so two who revoke it cannot harm each other."""
        key_hash = await self._server.send(("HGET", API_KEY_HASHES, key_id))
        key = None if key_hash is None else await self.by_hash(key_hash.decode())
        if key is None or key.revoked_at is not None:
            return key
        revoked = replace(key, revoked_at=now)
        await self._server.send(("HSET", API_KEYS, key_hash, orjson.dumps(revoked)))
        return revoked

    async def page(self, team: str | None, after: str | None, limit: int) -> ApiKeyPage:
        """Give keys, newest first. One more than is wanted tells whether there is a next page."""
        index = API_KEY_INDEX if team is None else api_key_index(team)
        end = "+" if after is None else f"({after}"
        call = ScriptCall(PAGE_OF_API_KEYS, [API_KEYS, API_KEY_HASHES, index], [end, limit + 1])
        keys = tuple(_RECORD.validate_json(record) for record in await self._server.run(call))
        more = len(keys) > limit
        return ApiKeyPage(keys[:limit], keys[limit - 1].id if more else None)

    async def by_hash(self, key_hash: str) -> ApiKey | None:
        """Give the key with that hash."""
        record = await self._server.send(("HGET", API_KEYS, key_hash))
        return None if record is None else _RECORD.validate_json(record)
