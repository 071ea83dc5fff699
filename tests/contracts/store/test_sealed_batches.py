"""Batches whose upload nobody goes on with are closed with what was accepted."""

from dataclasses import replace

import pytest

from shared.adapters.redis.connection import Client
from shared.adapters.redis.job_upkeep import RedisJobUpkeep
from shared.adapters.redis.keys import of_team
from shared.domain.batches import Batch
from shared.domain.job_store import JobStore
from shared.domain.job_upkeep import JobUpkeep, SealedBatch
from shared.domain.lanes import Mailbox
from shared.domain.notices import Notice
from tests.contracts.store.examples import TEAM, a_batch, a_spec, finished, new

LEASE_S = 3600.0


@pytest.fixture
def upkeep(client: Client) -> JobUpkeep:
    return RedisJobUpkeep(client)


async def _was_opened_long_ago(client: Client, team: str = TEAM) -> None:
    await client.zadd(of_team(team).open_batches, {"batch_1": 1.0})


async def _progress(store: JobStore) -> Batch:
    batch = await store.batch(TEAM, "batch_1")
    assert batch is not None
    return batch


async def test_a_batch_that_was_opened_just_now_is_left_open(store: JobStore, upkeep: JobUpkeep) -> None:
    await store.open_batch(a_batch())
    assert await upkeep.seal(9, LEASE_S) == []
    assert (await _progress(store)).is_open


async def test_a_batch_whose_upload_goes_on_is_left_open(client: Client, store: JobStore, upkeep: JobUpkeep) -> None:
    await store.open_batch(a_batch())
    await _was_opened_long_ago(client)
    await store.open_batch(a_batch())
    assert await upkeep.seal(9, LEASE_S) == []
    assert (await _progress(store)).is_open


async def test_a_batch_is_kept_for_as_long_as_its_upload_goes_on(client: Client, store: JobStore) -> None:
    await store.open_batch(a_batch())
    key = of_team(TEAM).batch("batch_1")
    kept_s = await client.ttl(key)
    await client.expire(key, kept_s // 2)
    await store.open_batch(a_batch())
    assert await client.ttl(key) > 0.9 * kept_s


async def test_a_batch_that_nobody_goes_on_with_is_closed_and_its_end_told_once(
    client: Client, store: JobStore, upkeep: JobUpkeep
) -> None:
    await store.open_batch(replace(a_batch(), webhook="https://example.com/hook"))
    spec = a_spec(batch_id="batch_1")
    await store.accept([new(spec)])
    await finished(store, spec)
    await _was_opened_long_ago(client)
    notice = Notice(TEAM, Mailbox.WEBHOOKS, "batch_1")
    assert await upkeep.seal(9, LEASE_S) == [SealedBatch(TEAM, "batch_1", (notice,))]
    sealed = await _progress(store)
    assert (sealed.is_open, sealed.total, sealed.finished_at is None) == (False, 1, False)
    assert await upkeep.seal(9, LEASE_S) == []
    assert await _progress(store) == sealed


async def test_a_batch_that_is_sealed_ends_with_its_last_job(
    client: Client, store: JobStore, upkeep: JobUpkeep
) -> None:
    await store.open_batch(a_batch())
    spec = a_spec(batch_id="batch_1")
    await store.accept([new(spec)])
    await _was_opened_long_ago(client)
    assert await upkeep.seal(9, LEASE_S) == [SealedBatch(TEAM, "batch_1")]
    assert (await _progress(store)).finished_at is None
    await finished(store, spec)
    assert (await _progress(store)).finished_at is not None


async def test_an_upload_that_comes_again_goes_on_with_a_batch_that_was_sealed(
    client: Client, store: JobStore, upkeep: JobUpkeep
) -> None:
    await store.open_batch(a_batch())
    await _was_opened_long_ago(client)
    await upkeep.seal(9, LEASE_S)
    assert (await _progress(store)).finished_at is not None
    await store.open_batch(a_batch())
    await store.accept([new(a_spec(batch_id="batch_1"))])
    batch = await _progress(store)
    assert (batch.is_open, batch.total, batch.finished_at, batch.reopened) == (True, 1, None, 1)
    await _was_opened_long_ago(client)
    assert await upkeep.seal(9, LEASE_S) == [SealedBatch(TEAM, "batch_1")]


async def test_a_batch_that_was_closed_is_not_sealed(store: JobStore, upkeep: JobUpkeep) -> None:
    await store.open_batch(a_batch())
    closed = await store.close_batch(TEAM, "batch_1")
    assert await upkeep.seal(9, 0.0) == []
    assert await _progress(store) == closed


async def test_an_upload_that_was_merely_begun_again_ends_its_batch_no_second_time(
    client: Client, store: JobStore, upkeep: JobUpkeep
) -> None:
    await store.open_batch(a_batch())
    ended = await store.close_batch(TEAM, "batch_1")
    await store.open_batch(a_batch())
    await _was_opened_long_ago(client)
    assert await upkeep.seal(9, LEASE_S) == []
    assert await _progress(store) == ended
    assert await client.zcard(of_team(TEAM).open_batches) == 0


async def test_a_batch_whose_record_is_gone_is_looked_at_no_more(
    client: Client, store: JobStore, upkeep: JobUpkeep
) -> None:
    await store.open_batch(a_batch())
    await client.delete(of_team(TEAM).batch("batch_1"))
    await _was_opened_long_ago(client)
    assert await upkeep.seal(9, LEASE_S) == []
    assert await client.zcard(of_team(TEAM).open_batches) == 0
    assert await store.batch(TEAM, "batch_1") is None


async def test_every_team_has_its_batches_sealed(client: Client, store: JobStore, upkeep: JobUpkeep) -> None:
    for team in ("a", "b"):
        await store.open_batch(a_batch(team=team))
        await _was_opened_long_ago(client, team)
    assert {batch.team for batch in await upkeep.seal(9, LEASE_S)} == {"a", "b"}
