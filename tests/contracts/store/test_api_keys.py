"""The records of the keys and the allowances, on a single server and on a cluster."""

from shared.adapters.redis.allowances import RedisAllowances
from shared.adapters.redis.api_keys import RedisApiKeys
from shared.adapters.redis.connection import Client
from shared.domain.allowances import Allowance, Charge, Charged, OnLimit, OverLimit, Terms, owners_of
from shared.domain.api_keys import ApiKey
from shared.domain.tenants import Scope
from tests.contracts.store.examples import TEAM, a_spec

TERMS = Terms(Allowance(1, 2, 3, 4), OnLimit.QUEUE, 5, 6)


def a_key(number: int, team: str = TEAM) -> ApiKey:
    return ApiKey(f"key_{number}", team, "fb-ab…", 1.5, f"n {number}", (Scope.READ,), TERMS)


async def test_a_key_is_found_by_its_hash_alone(client: Client) -> None:
    keys = RedisApiKeys(client)
    await keys.add(a_key(1), "hash 1")
    assert await keys.by_hash("hash 1") == a_key(1)
    assert await keys.by_hash("key_1") is None


async def test_a_key_that_is_added_twice_stays_as_it_was(client: Client) -> None:
    """Row 12: the reply was lost."""
    keys = RedisApiKeys(client)
    for _ in range(2):
        await keys.add(a_key(1), "hash 1")
    assert (await keys.page(None, None, 10)).keys == (a_key(1),)


async def test_a_revoked_key_is_nobody_s_and_stays_listed(client: Client) -> None:
    keys = RedisApiKeys(client)
    await keys.add(a_key(1), "hash 1")
    revoked = await keys.revoke("key_1", 7.5)
    assert revoked is not None
    assert (revoked.revoked_at, revoked.principal) == (7.5, None)
    assert await keys.revoke("key_1", 9.0) == revoked
    assert await keys.by_hash("hash 1") == revoked
    assert await keys.revoke("key_2", 9.0) is None


async def test_pages_go_from_the_newest_to_the_oldest_by_team_too(client: Client) -> None:
    keys = RedisApiKeys(client)
    for number in range(6):
        await keys.add(a_key(number, "even" if number % 2 == 0 else "odd"), f"hash {number}")
    first = await keys.page(None, None, 4)
    assert [key.id for key in first.keys] == ["key_5", "key_4", "key_3", "key_2"]
    last = await keys.page(None, first.next_after, 4)
    assert ([key.id for key in last.keys], last.next_after) == (["key_1", "key_0"], None)
    assert [key.id for key in (await keys.page("odd", "key_5", 1)).keys] == ["key_3"]


async def test_a_charge_of_team_and_ceiling_is_taken_and_settled_across_slots(client: Client) -> None:
    allowances, two = RedisAllowances(client), Allowance(requests_per_day=2, tokens_per_day=100)
    specs = [a_spec(key_id="key_1") for _ in range(4)]
    charges = [
        Charge(spec, tuple((owner, Allowance(requests_per_day=9)) for owner in owners_of(spec)), two, (1, 50))
        for spec in specs
    ]
    answers = await allowances.take(charges)
    assert [type(answer) for answer in answers] == [Charged, Charged, OverLimit, OverLimit]
    await allowances.settle(specs[0], (0, 0))
    assert [type(answer) for answer in await allowances.take(charges[2:])] == [Charged, OverLimit]
