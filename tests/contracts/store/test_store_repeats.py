"""A reply that is lost on its way: the operation is repeated, and nothing happens twice."""

from collections.abc import AsyncIterator

import pytest

from shared.adapters.redis.connection import Client, connect
from shared.adapters.redis.rate_limits import RedisRateLimits
from shared.domain.batches import Batch
from shared.domain.circuit import Health
from shared.domain.job import JobStatus
from shared.domain.job_intake import Acceptance
from shared.domain.job_runs import ClaimResult
from shared.domain.job_store import JobStore
from shared.domain.rate_limit import CallEnd, Cost, Wish
from shared.domain.reservations import Candidates, Reservation, Wait
from shared.domain.routing import ClientKind, ConfiguredLimits, Deployment
from tests.clock import ManualClock
from tests.contracts.store.examples import (
    ATTEMPT,
    FAILED_ATTEMPT,
    SUCCESS,
    TEAM,
    a_batch,
    a_spec,
    claimed,
    new,
    seen,
)
from tests.contracts.store.servers import StoreServer
from tests.servers.proxy import Proxy, proxy_to, tcp

LIMITED = Deployment(
    "d1",
    "sim",
    "openai/m",
    ClientKind.HTTP,
    limits=ConfiguredLimits(requests_per_minute=6_000, tokens_per_minute=600_000),
)
CANDIDATES = Candidates("sim", (LIMITED,))


@pytest.fixture
async def proxy(private_server: StoreServer) -> AsyncIterator[Proxy]:
    async with proxy_to(tcp("127.0.0.1", private_server.port)) as proxy:
        yield proxy
        assert proxy.cuts > 0, "the test lost no reply"


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[Client]:
    client = connect(f"redis://127.0.0.1:{proxy.port}/0")
    await client.flushdb()
    yield client
    await client.aclose()


async def _progress(store: JobStore) -> Batch:
    batch = await store.batch(TEAM, "batch_1")
    assert batch is not None
    return batch


async def test_a_job_is_accepted_once(store: JobStore, proxy: Proxy) -> None:
    await store.open_batch(a_batch())
    spec = a_spec(batch_id="batch_1")
    proxy.cut_the_next_reply()
    [accepted] = await store.accept([new(spec, key="k")])
    assert (accepted.acceptance, accepted.job_id, accepted.status) == (Acceptance.NEW, spec.id, JobStatus.ACCEPTED)
    assert (await _progress(store)).total == 1


async def test_a_job_answered_at_once_is_counted_once(store: JobStore, proxy: Proxy) -> None:
    await store.open_batch(a_batch())
    proxy.cut_the_next_reply()
    await store.accept([new(a_spec(batch_id="batch_1"), outcome=SUCCESS)])
    batch = await _progress(store)
    assert (batch.total, batch.succeeded) == (1, 1)


async def test_a_claim_is_granted_once(store: JobStore, proxy: Proxy) -> None:
    spec = a_spec()
    await store.accept([new(spec)])
    proxy.cut_the_next_reply()
    claim = await store.claim(spec, "w1")
    assert (claim.result, claim.holder, claim.starts) == (ClaimResult.GRANTED, "w1", 1)
    assert (await store.claim(spec, "w2")).fence == claim.fence
    assert await store.finish(spec, claim.fence, SUCCESS, (ATTEMPT,))


async def test_a_takeover_is_granted_once(store: JobStore, proxy: Proxy) -> None:
    spec = a_spec()
    await claimed(store, spec, "w1")
    proxy.cut_the_next_reply()
    claim = await store.claim(spec, "w2", instead_of="w1")
    assert (claim.result, claim.holder, claim.starts) == (ClaimResult.GRANTED, "w2", 2)


async def test_an_attempt_is_released_once(store: JobStore, proxy: Proxy) -> None:
    spec = a_spec()
    claim = await claimed(store, spec)
    proxy.cut_the_next_reply()
    assert await store.release(spec, claim.fence, (FAILED_ATTEMPT,))
    assert (await seen(store, spec)).attempts == (FAILED_ATTEMPT,)


async def test_a_start_is_taken_back_once(store: JobStore, proxy: Proxy) -> None:
    spec = a_spec()
    first = await claimed(store, spec)
    await store.release(spec, first.fence, (FAILED_ATTEMPT,))
    second = await claimed(store, spec)
    proxy.cut_the_next_reply()
    assert await store.release(spec, second.fence, ())
    assert (await claimed(store, spec)).starts == 2


async def test_a_job_is_finished_and_counted_once(store: JobStore, proxy: Proxy) -> None:
    await store.open_batch(a_batch())
    spec = a_spec(batch_id="batch_1")
    await store.accept([new(spec)])
    claim = await claimed(store, spec)
    proxy.cut_the_next_reply()
    assert await store.finish(spec, claim.fence, SUCCESS, (ATTEMPT,))
    assert (await seen(store, spec)).attempts == (ATTEMPT,)
    batch = await _progress(store)
    assert (batch.total, batch.succeeded, batch.finished) == (1, 1, 1)


async def test_a_job_is_cancelled_and_counted_once(store: JobStore, proxy: Proxy, client: Client) -> None:
    await store.open_batch(a_batch())
    spec = a_spec(batch_id="batch_1")
    await store.accept([new(spec)])
    for _ in range(2):  # of the two round trips of a cancel, lose the reply of the first, and then of the second
        proxy.cut_the_next_reply()
        assert await store.get(TEAM, spec.id) is not None
    proxy.cut_the_next_reply()
    job = await store.cancel(TEAM, spec.id)
    assert job is not None
    assert job.status is JobStatus.CANCELLED
    assert (await _progress(store)).cancelled == 1


async def test_a_batch_is_opened_and_closed_once(store: JobStore, proxy: Proxy) -> None:
    proxy.cut_the_next_reply()
    opened = await store.open_batch(a_batch())
    proxy.cut_the_next_reply()
    closed = await store.close_batch(TEAM, "batch_1")
    assert opened == a_batch()
    assert closed.finished_at is not None
    assert await store.close_batch(TEAM, "batch_1") == closed


async def _reserved(limits: RedisRateLimits, clock: ManualClock, cost: Cost) -> Reservation:
    """Reserve on a bucket that has had the time to fill."""
    wish = Wish("once", cost)
    assert isinstance(await limits.reserve(CANDIDATES, wish), Wait)
    clock.seconds += 60
    granted = await limits.reserve(CANDIDATES, wish)
    assert isinstance(granted, Reservation)
    return granted


async def _levels(limits: RedisRateLimits) -> tuple[float, ...]:
    [state] = await limits.look("sim", (LIMITED,))
    return state.levels[:2]


@pytest.mark.hazard(12)
async def test_capacity_is_reserved_once(client: Client, proxy: Proxy) -> None:
    clock = ManualClock()
    limits = RedisRateLimits(client, clock.now)
    await limits.reserve(CANDIDATES, Wish("first look", Cost()))
    clock.seconds += 60
    full = await _levels(limits)
    proxy.cut_the_next_reply()
    assert isinstance(await limits.reserve(CANDIDATES, Wish("once", Cost(1, 100, 200))), Reservation)
    assert await _levels(limits) == (full[0] - 1, full[1] - 300)


@pytest.mark.hazard(12)
async def test_a_reservation_is_settled_once(client: Client, proxy: Proxy) -> None:
    clock = ManualClock()
    limits = RedisRateLimits(client, clock.now)
    reservation = await _reserved(limits, clock, Cost(1, 100, 200))
    before = await _levels(limits)
    proxy.cut_the_next_reply()
    await limits.settle(reservation, Cost(1, 100, 50), CallEnd(Health.GOOD))
    assert await _levels(limits) == (before[0], before[1] + 150)
