"""A worker killed in the middle of a stream, for real."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from shared.adapters.embedded.valkey import EmbeddedValkey
from shared.bootstrap.connections import Connections, open_connections
from shared.bootstrap.servers import Servers
from shared.domain.clock import SystemClock
from shared.domain.events import Event
from shared.domain.ids import new_id
from shared.domain.job import Envelope, JobSpec, JobStatus
from shared.domain.job_intake import NewJob
from shared.domain.lanes import Priority
from shared.domain.provider_errors import StreamBroken
from shared.domain.work_queue import Message
from shared.wire.envelope import encode
from tests.e2e.processes import forebay, write_config
from tests.eventually import eventually
from tests.servers.provider import CHAT, simulated_provider
from tests.servers.rabbitmq import RestartableRabbitMQ

TEAM = "default"
CLOCK = SystemClock()


async def publish(ports: Connections, job_id: str, text: str) -> JobSpec:
    """Do what the API does for a client that wants a stream."""
    spec = JobSpec(job_id, TEAM, CHAT, "sim", "sim", Priority.INTERACTIVE, CLOCK.now(), streams=True)
    body = encode(Envelope(spec, {"model": "sim", "messages": [{"role": "user", "content": text}], "max_tokens": 300}))
    await ports.store.accept([NewJob(spec, body)])
    await ports.queue.publish(spec.queue(CLOCK.now()), Message(body, spec.id))
    await ports.store.mark_queued(TEAM, [spec])
    return spec


async def rest_of(pieces: AsyncIterator[bytes]) -> list[bytes]:
    async with asyncio.timeout(60):
        return [piece async for piece in pieces]


@pytest.mark.hazard(20)
async def test_a_worker_killed_in_the_middle_of_a_stream_is_told_to_the_reader_and_its_job_is_done(
    tmp_path: Path, restartable_rabbitmq: RestartableRabbitMQ
) -> None:
    events: list[Event] = []
    async with AsyncExitStack() as stack:
        store = EmbeddedValkey(tmp_path / "store")
        servers = Servers(await store.start(), restartable_rabbitmq.url)
        stack.push_async_callback(store.stop)
        provider = await stack.enter_async_context(simulated_provider())
        settings = {"FOREBAY_REDIS_URL": servers.redis_url, "FOREBAY_AMQP_URL": restartable_rabbitmq.url}
        command = ("worker", "--config", str(write_config(tmp_path, provider.url)))
        ports = await stack.enter_async_context(open_connections(servers, 3600.0, CLOCK, events.append))
        await provider.faults("latency", seconds=60.0, count=1)
        worker = await stack.enter_async_context(forebay(*command, settings=settings))

        job_id = new_id("job", CLOCK.now())
        reader = await stack.enter_async_context(ports.answer_streams.reader(job_id))
        spec = await publish(ports, job_id, "Killed midway")
        pieces = aiter(reader)
        async with asyncio.timeout(60):
            await anext(pieces)
        worker.kill()
        following = asyncio.create_task(rest_of(pieces))
        await stack.enter_async_context(forebay(*command, settings=settings))
        with pytest.raises(StreamBroken):
            await following

        async def is_done() -> bool:
            job = await ports.store.get(TEAM, spec.id)
            return job is not None and job.status is JobStatus.SUCCEEDED

        await eventually(is_done)
        assert (await provider.calls_of("Killed midway")) == {"begun": 2, "answered": 1}
