"""Who holds a key, as far as the API's processes know."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.adapters.redis.api_keys import RedisApiKeys
from shared.adapters.redis.connection import Client, connect
from shared.domain.api_keys import REMEMBERED_S, ApiKey, StoredKeyring, hint_of, new_key
from shared.domain.errors import StoreUnavailable
from shared.domain.tenants import DEFAULT_TEAM, AdminKeyring, Keyrings, Principal, Scope, hash_key
from tests.clock import ManualClock

KEY = "fb-of-the-red-team"
RED = ApiKey("key_1", "red", "fb-of…", 0.0)


class WatchedApiKeys(RedisApiKeys):
    """The real records; counts how often they are looked at, and can be told to wait or to be away."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.looks = 0
        self.is_away = False
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def by_hash(self, key_hash: str) -> ApiKey | None:
        self.looks += 1
        await self.may_answer.wait()
        if self.is_away:
            raise StoreUnavailable
        return await super().by_hash(key_hash)


@pytest.fixture
async def records(valkey_url: str) -> AsyncIterator[WatchedApiKeys]:
    client = connect(valkey_url)
    records = WatchedApiKeys(client)
    await records.add(RED, hash_key(KEY))
    yield records
    await client.aclose()


async def test_who_holds_a_key_is_asked_once_in_a_while(records: WatchedApiKeys) -> None:
    clock = ManualClock()
    keyring = StoredKeyring(records, clock)
    for _ in range(5):
        assert await keyring.principal(KEY) == Principal("red", key_id="key_1")
    assert records.looks == 1
    clock.seconds += REMEMBERED_S
    await keyring.principal(KEY)
    assert records.looks == 2


async def test_a_revoked_key_is_remembered_for_less_than_a_second(records: WatchedApiKeys) -> None:
    clock = ManualClock()
    keyring = StoredKeyring(records, clock)
    await keyring.principal(KEY)
    await records.revoke(RED.id, 1.0)
    clock.seconds += 0.99
    assert await keyring.principal(KEY) is None


async def test_requests_at_the_same_time_share_one_look(records: WatchedApiKeys) -> None:
    records.may_answer.clear()
    keyring = StoredKeyring(records, ManualClock())
    waiting = [asyncio.ensure_future(keyring.principal(KEY)) for _ in range(50)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # its client is gone; the others go on
    records.may_answer.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [Principal("red", key_id="key_1")] * 49
    assert records.looks == 1


async def test_an_outage_is_neither_an_answer_nor_remembered(records: WatchedApiKeys) -> None:
    records.is_away = True
    keyring = StoredKeyring(records, ManualClock())
    with pytest.raises(StoreUnavailable):
        await keyring.principal(KEY)
    records.is_away = False
    assert await keyring.principal(KEY) is not None


async def test_what_cannot_be_a_key_of_ours_is_not_looked_up(records: WatchedApiKeys) -> None:
    assert await StoredKeyring(records, ManualClock()).principal("sk-of-somebody-else") is None
    assert records.looks == 0


async def test_the_administrator_needs_no_store(records: WatchedApiKeys) -> None:
    records.is_away = True
    keyrings = Keyrings((AdminKeyring(hash_key("fb-admin")), StoredKeyring(records, ManualClock())))
    assert await keyrings.principal("fb-admin") == Principal(DEFAULT_TEAM, frozenset(Scope))
    with pytest.raises(StoreUnavailable):
        await keyrings.principal(KEY)


def test_keys_are_long_random_and_told_apart_by_their_beginning() -> None:
    one, other = new_key(), new_key()
    assert one != other
    assert len(one) == len("fb-") + 43
    assert hint_of(one) == f"{one[:7]}…"
