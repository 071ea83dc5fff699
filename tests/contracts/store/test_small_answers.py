from shared.adapters.files.small_answers import SmallAnswers
from shared.adapters.redis.answer_cache import RedisAnswerCache
from shared.adapters.redis.connection import connect
from shared.domain.answer_cache import CachedAnswer, CacheKey
from shared.domain.usage import Usage


async def test_only_answers_that_are_not_large_are_kept(valkey_url: str) -> None:
    client = connect(valkey_url)
    cache = SmallAnswers(RedisAnswerCache(client), limit=1_000)
    small, large = CacheKey("red", "small"), CacheKey("red", "large")
    await cache.store(small, CachedAnswer({"text": "x"}, "m-1", Usage(1, 1)), 60)
    await cache.store(large, CachedAnswer({"text": "x" * 1_000}, "m-1", Usage(1, 1)), 60)
    found = await cache.look_up_many([small, large, None])
    assert [answer is not None for answer in found] == [True, False, False]
    assert await cache.look_up(small) == found[0]
    await client.aclose()
