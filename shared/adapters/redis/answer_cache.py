"""The cached answers: a string of JSON each, which the server lets expire."""

from collections.abc import Sequence

import orjson

from shared.adapters.redis import keys as names
from shared.adapters.redis.connection import Client
from shared.adapters.redis.round_trips import RoundTrips
from shared.domain.answer_cache import CachedAnswer, CacheKey
from shared.domain.usage import Usage


class RedisAnswerCache:
    """Implements ``AnswerCache``."""

    def __init__(self, client: Client) -> None:
        """``client``: as ``connection.connect`` gives it."""
        self._server = RoundTrips(client)

    async def look_up(self, key: CacheKey) -> CachedAnswer | None:
        """Give the answer, if there is one."""
        return _answer_from(await self._server.send(("GET", names.answer(key))))

    async def look_up_many(self, keys: Sequence[CacheKey | None]) -> list[CachedAnswer | None]:
        """Give the answers in the order of ``keys``: one command a team, because teams may live on different nodes."""
        by_team: dict[str, dict[CacheKey, None]] = {}
        for key in filter(None, keys):
            by_team.setdefault(key.team, {})[key] = None
        if not by_team:
            return [None] * len(keys)
        replies = await self._server.send_all([("MGET", *map(names.answer, wanted)) for wanted in by_team.values()])
        found: dict[CacheKey | None, CachedAnswer | None] = {}
        for wanted, bodies in zip(by_team.values(), replies, strict=True):
            found |= zip(wanted, map(_answer_from, bodies), strict=True)
        return [found.get(key) for key in keys]

    async def store(self, key: CacheKey, answer: CachedAnswer, ttl_s: float) -> None:
        """Keep the answer for ``ttl_s`` seconds; with none left, not at all."""
        milliseconds = int(ttl_s * 1000)
        if milliseconds > 0:
            await self._server.send(("SET", names.answer(key), orjson.dumps(answer), "PX", milliseconds))


def _answer_from(body: bytes | None) -> CachedAnswer | None:
    if body is None:
        return None
    fields = orjson.loads(body)
    return CachedAnswer(fields["response"], fields["served_by"], Usage(**fields["usage"]))
