"""Separate roles on RabbitMQ and Redis, killed and restarted in the middle of 1,000 jobs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from forebay.client import AsyncClient
from shared.adapters.embedded.valkey import EmbeddedValkey
from tests.e2e.batches import calls_begun, everything_succeeded_once, progressed, submit
from tests.e2e.processes import ADMIN_KEY, Running, forebay, write_config
from tests.servers.provider import SimulatedProvider, simulated_provider
from tests.servers.rabbitmq import RestartableRabbitMQ

JOBS = 1_000
CONCURRENCY = 16


@dataclass
class Cluster:
    """An API and two workers, each a process."""

    client: AsyncClient
    workers: list[Running]
    provider: SimulatedProvider
    rabbitmq: RestartableRabbitMQ


@pytest.fixture
async def cluster(tmp_path: Path, restartable_rabbitmq: RestartableRabbitMQ) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        store = EmbeddedValkey(tmp_path / "store")
        settings = {
            "FOREBAY_REDIS_URL": await store.start(),
            "FOREBAY_AMQP_URL": restartable_rabbitmq.url,
            "FOREBAY_ADMIN_KEY": ADMIN_KEY,
        }
        stack.push_async_callback(store.stop)
        provider = await stack.enter_async_context(simulated_provider(latency_s=(0.05, 0.1)))
        config = str(write_config(tmp_path, provider.url))
        api = await stack.enter_async_context(forebay("api", "--port", "0", "--config", config, settings=settings))
        workers = [
            await stack.enter_async_context(forebay("worker", "--config", config, settings=settings)) for _ in range(2)
        ]
        client = await stack.enter_async_context(AsyncClient(api.ready["name"], ADMIN_KEY))
        yield Cluster(client, workers, provider, restartable_rabbitmq)


@pytest.mark.timeout(240)
@pytest.mark.hazard(1)
async def test_a_killed_worker_loses_no_job_and_repeats_only_calls_in_flight(cluster: Cluster) -> None:
    batch_id = await submit(cluster.client, JOBS)
    await progressed(cluster.client, batch_id, 0.3)
    cluster.workers[0].kill()
    await everything_succeeded_once(cluster.client, batch_id, JOBS)
    assert await calls_begun(cluster.provider) <= JOBS + CONCURRENCY


@pytest.mark.timeout(240)
async def test_a_restarted_rabbitmq_loses_no_job_and_repeats_only_calls_in_flight(cluster: Cluster) -> None:
    batch_id = await submit(cluster.client, JOBS)
    await progressed(cluster.client, batch_id, 0.3)
    await asyncio.to_thread(cluster.rabbitmq.kill)
    await asyncio.to_thread(cluster.rabbitmq.start)
    await everything_succeeded_once(cluster.client, batch_id, JOBS)
    assert await calls_begun(cluster.provider) <= JOBS + 2 * CONCURRENCY


@pytest.mark.timeout(240)
@pytest.mark.hazard(32)
async def test_a_worker_told_to_stop_ends_its_calls_and_leaves_the_rest(cluster: Cluster) -> None:
    batch_id = await submit(cluster.client, JOBS)
    await progressed(cluster.client, batch_id, 0.2)
    assert await cluster.workers[0].stop() == 0
    await everything_succeeded_once(cluster.client, batch_id, JOBS)
    assert await calls_begun(cluster.provider) == JOBS
