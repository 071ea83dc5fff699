"""The answer cache without large answers: a look-up brings those of many jobs at once, within one deadline."""

import orjson

from shared.domain.answer_cache import AnswerCache, CachedAnswer, CacheKey


class SmallAnswers:
    """Implements ``AnswerCache`` on another one."""

    def __init__(self, cache: AnswerCache, limit: int) -> None:
        """``limit``: bytes of a response's JSON beyond which it is not kept."""
        self._cache = cache
        self._limit = limit

    async def look_up(self, key: CacheKey) -> CachedAnswer | None:
        """Give the answer."""
        return await self._cache.look_up(key)

    async def look_up_many(self, keys: list[CacheKey | None]) -> list[CachedAnswer | None]:
        """Give the answer for each key in turn."""
        return await self._cache.look_up_many(keys)

    async def store(self, key: CacheKey, answer: CachedAnswer, ttl_s: float) -> None:
        """Keep the answer, if it is not too large."""
        if len(orjson.dumps(answer.response)) <= self._limit:
            await self._cache.store(key, answer, ttl_s)
