"""A replay that ends in the middle, over both transports: nothing is lost, and no job runs twice."""

from collections.abc import AsyncIterator

import pytest

from producer_api.dead_letter_desk import DeadLetterDesk
from shared.adapters.redis.connection import connect
from shared.adapters.redis.job_store import RedisJobStore
from shared.domain.catalog import Catalog, Lane
from shared.domain.clock import SystemClock
from shared.domain.dead_letters import Selection
from shared.domain.errors import BrokerUnavailable
from shared.domain.job import Envelope, JobSpec, JobStatus
from shared.domain.job_intake import NewJob
from shared.domain.job_runs import ClaimResult
from shared.domain.job_store import JobStore
from shared.domain.lanes import DEFAULT_WEIGHTS, DEFERRABLE_WINDOWS, JobClass, QueueName
from shared.domain.work_queue import Message, QueueDepth, WorkQueue
from shared.wire.envelope import decode, encode
from tests.contracts.store.examples import FAILURE, SUCCESS, a_spec, finished, queued, seen
from tests.contracts.test_work_queue import take, until_depth
from tests.contracts.transports import ignore
from tests.eventually import eventually
from tests.servers.proxy import Proxy


@pytest.fixture
async def store(valkey_url: str) -> AsyncIterator[JobStore]:
    client = connect(valkey_url)
    yield RedisJobStore(client)
    await client.aclose()


async def failed(store: JobStore, queue: WorkQueue, origin: QueueName) -> JobSpec:
    """Have a job of the lane fail and die."""
    spec = a_spec(lane=origin.lane, deadline=None)
    body = encode(Envelope(spec, {"model": "m"}))
    await store.accept([NewJob(spec, body)])
    await finished(store, await queued(store, spec), FAILURE)
    await queue.bury(Message(body, spec.id, {"traceparent": "00-ab-cd-01"}), "overloaded", origin)
    return spec


def desk_of(queue: WorkQueue, store: JobStore, lane: str) -> DeadLetterDesk:
    return DeadLetterDesk(queue, store, Catalog({lane: Lane(lane, ())}), DEFERRABLE_WINDOWS, SystemClock(), ignore)


async def test_a_replayed_letter_is_a_message_of_the_queue_it_came_from(
    queue: WorkQueue, store: JobStore, lane: str
) -> None:
    origin = QueueName(lane, JobClass("bulk"))
    spec = await failed(store, queue, origin)
    settled = await desk_of(queue, store, lane).replay(Selection(model=lane))
    assert settled.problems == {spec.id: None}
    delivery = await take(queue.intake(lane, DEFAULT_WEIGHTS, 10))
    assert (delivery.queue, delivery.message.headers) == (origin, {"traceparent": "00-ab-cd-01"})
    assert decode(delivery.message.body).spec == spec
    await delivery.ack()
    assert (await desk_of(queue, store, lane).page(Selection(model=lane), None, 10)).letters == ()


async def test_a_replay_that_dies_after_its_publish_is_repeated_and_the_job_runs_once(
    queue: WorkQueue, distant: WorkQueue, line: Proxy, store: JobStore, lane: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = QueueName(lane, JobClass("bulk"))
    spec = await failed(store, queue, origin)
    publish = distant.publish

    async def publish_and_die(to: QueueName, message: Message, delay_s: float = 0.0) -> None:
        await publish(to, message, delay_s)
        await line.go_away()

    monkeypatch.setattr(distant, "publish", publish_and_die)
    with pytest.raises(BrokerUnavailable):
        await desk_of(distant, store, lane).replay(Selection(model=lane))
    assert (await seen(store, spec)).status is JobStatus.QUEUED

    async def is_replayed() -> bool:
        return (await desk_of(queue, store, lane).replay(Selection(model=lane))).gone == 1

    await eventually(is_replayed)
    await until_depth(queue, origin, QueueDepth(2, 0))
    intake = queue.intake(lane, DEFAULT_WEIGHTS, 10)
    results = []
    for _ in range(2):
        delivery = await take(intake)
        claim = await store.claim(decode(delivery.message.body).spec, "worker-1")
        results.append(claim.result)
        if claim.result is ClaimResult.GRANTED:
            assert await store.finish(spec, claim.fence, SUCCESS, ())
        await delivery.ack()
    assert results == [ClaimResult.GRANTED, ClaimResult.FINISHED]
    assert (await seen(store, spec)).revivals == 1
