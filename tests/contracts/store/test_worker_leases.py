"""The workers' leases."""

import pytest

from shared.adapters.redis.connection import Client
from shared.adapters.redis.worker_leases import RedisWorkerLeases
from shared.domain.worker_leases import WorkerLeases
from tests.eventually import eventually


@pytest.fixture
def leases(client: Client) -> WorkerLeases:
    return RedisWorkerLeases(client)


async def test_a_worker_nobody_heard_of_is_not_alive(leases: WorkerLeases) -> None:
    assert not await leases.is_alive("w1")


async def test_a_worker_is_alive_while_its_lease_runs(leases: WorkerLeases) -> None:
    await leases.renew("w1", 60)
    assert await leases.is_alive("w1")
    assert not await leases.is_alive("w2")


async def test_a_lease_that_is_not_renewed_ends(leases: WorkerLeases) -> None:
    await leases.renew("w1", 0.05)

    async def is_dead() -> bool:
        return not await leases.is_alive("w1")

    await eventually(is_dead)


async def test_a_renewal_sets_the_end_anew(leases: WorkerLeases, client: Client) -> None:
    await leases.renew("w1", 5)
    await leases.renew("w1", 60)
    [key] = [key async for key in client.scan_iter("forebay:*")]
    assert 50_000 < await client.pttl(key) <= 60_000


async def test_a_lease_given_back_has_ended(leases: WorkerLeases) -> None:
    await leases.renew("w1", 60)
    await leases.end("w1")
    assert not await leases.is_alive("w1")
    await leases.end("w1")


async def test_names_of_workers_may_hold_anything(leases: WorkerLeases) -> None:
    for worker in ("{", "}", "", "host:17/ä"):
        await leases.renew(worker, 60)
        assert await leases.is_alive(worker)
