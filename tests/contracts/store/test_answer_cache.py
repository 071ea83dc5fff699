"""The stored answers."""

import pytest

from shared.adapters.redis.answer_cache import RedisAnswerCache
from shared.adapters.redis.connection import Client
from shared.domain.answer_cache import AnswerCache, CachedAnswer, CacheKey
from shared.domain.usage import Usage
from tests.eventually import eventually

KEY = CacheKey("acme", "f1")
ANSWER = CachedAnswer({"choices": [{"message": {"content": "Grüezi"}}], "n": 0.1}, "openai-eu", Usage(10, 20, 5))
OTHER = CachedAnswer({"choices": []}, "openai-us", Usage(1))


@pytest.fixture
def cache(client: Client) -> AnswerCache:
    return RedisAnswerCache(client)


async def test_an_answer_is_found_as_it_was_stored(cache: AnswerCache) -> None:
    assert await cache.look_up(KEY) is None
    await cache.store(KEY, ANSWER, 60)
    assert await cache.look_up(KEY) == ANSWER


async def test_a_later_answer_takes_the_place_of_an_earlier_one(cache: AnswerCache) -> None:
    await cache.store(KEY, ANSWER, 60)
    await cache.store(KEY, OTHER, 60)
    assert await cache.look_up(KEY) == OTHER


async def test_an_answer_is_gone_when_its_time_is_over(cache: AnswerCache) -> None:
    await cache.store(KEY, ANSWER, 0.05)

    async def is_gone() -> bool:
        return await cache.look_up(KEY) is None

    await eventually(is_gone)


@pytest.mark.parametrize("ttl_s", [0.0, -1.0, 0.0001])
async def test_an_answer_without_time_left_is_not_kept(cache: AnswerCache, ttl_s: float) -> None:
    await cache.store(KEY, ANSWER, ttl_s)
    assert await cache.look_up(KEY) is None


async def test_a_team_meets_no_answer_of_another(cache: AnswerCache) -> None:
    teams = ["acme", "acme2", "", "{acme}", "acme:answer", "a%63me"]
    await cache.store(KEY, ANSWER, 60)
    for team in teams:
        found = [await cache.look_up(CacheKey(team, "f1")), *(await cache.look_up_many([CacheKey(team, "f1")]))]
        assert found == ([ANSWER, ANSWER] if team == "acme" else [None, None])


async def test_many_are_found_in_the_order_asked(cache: AnswerCache) -> None:
    theirs = CacheKey("theirs", "f1")
    await cache.store(KEY, ANSWER, 60)
    await cache.store(theirs, OTHER, 60)
    asked = [None, theirs, KEY, CacheKey("acme", "f2"), None, KEY]
    assert await cache.look_up_many(asked) == [None, OTHER, ANSWER, None, None, ANSWER]


async def test_nothing_asked_is_nothing_found(cache: AnswerCache) -> None:
    assert await cache.look_up_many([]) == []
    assert await cache.look_up_many([None, None]) == [None, None]
