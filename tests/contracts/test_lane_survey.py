"""What can be seen of a lane, over both transports."""

from collections.abc import AsyncIterator

import pytest

from producer_api.lane_survey import LaneSurvey
from shared.adapters.redis.connection import connect
from shared.adapters.redis.lane_pauses import RedisLanePauses
from shared.adapters.redis.rate_limits import RedisRateLimits
from shared.domain.catalog import Lane
from shared.domain.clock import SystemClock
from shared.domain.lane_pauses import LanePauses
from shared.domain.lanes import CLASSES, DEFAULT_WEIGHTS, DEFERRABLE_WINDOWS, JobClass, QueueName
from shared.domain.routing import ClientKind, ConfiguredLimits, Deployment
from shared.domain.work_queue import Message, QueueDepth, WorkQueue
from tests.eventually import eventually

BULK = JobClass("bulk")


@pytest.fixture
async def pauses(valkey_url: str) -> AsyncIterator[LanePauses]:
    client = connect(valkey_url)
    yield RedisLanePauses(client)
    await client.aclose()


@pytest.fixture
async def survey(queue: WorkQueue, valkey_url: str, pauses: LanePauses) -> AsyncIterator[LaneSurvey]:
    client = connect(valkey_url)
    limits = RedisRateLimits(client)
    yield LaneSurvey(queue, limits, pauses, DEFAULT_WEIGHTS, DEFERRABLE_WINDOWS, SystemClock())
    await client.aclose()


@pytest.fixture
def seen_lane(lane: str) -> Lane:
    limits = ConfiguredLimits(requests_per_minute=600)
    return Lane(lane, (Deployment("d1", lane, "openai/m", ClientKind.HTTP, limits=limits),))


async def test_an_idle_lane_has_every_class_and_nothing_in_it(survey: LaneSurvey, seen_lane: Lane) -> None:
    sight = await survey.look(seen_lane)
    assert sight.depths == dict.fromkeys(CLASSES, QueueDepth(0, 0))
    assert (sight.backlog, sight.is_paused, len(sight.states)) == (0, False, 1)


async def test_what_waits_is_counted_by_class_and_waits_ahead_of_a_new_job(
    survey: LaneSurvey, seen_lane: Lane, queue: WorkQueue
) -> None:
    for job_class, jobs in ((BULK, 20), (BULK.surplus, 5)):
        for number in range(jobs):
            await queue.publish(QueueName(seen_lane.name, job_class), Message(b"{}", f"job_{number}"))

    async def all_are_there() -> bool:
        return (await survey.look(seen_lane)).backlog == 25

    await eventually(all_are_there)
    sight = await survey.look(seen_lane)
    assert (sight.depths[BULK].ready, sight.depths[BULK.surplus].ready) == (20, 5)
    projection = survey.outlook(sight).projection(BULK.surplus)
    assert projection is not None
    assert projection.jobs_ahead == 25
    assert projection.starts_at == pytest.approx(sight.at + 2.5)


async def test_what_a_worker_has_in_hand_and_has_not_called_for_waits_as_well(
    survey: LaneSurvey, seen_lane: Lane, queue: WorkQueue
) -> None:
    await queue.publish(QueueName(seen_lane.name, BULK), Message(b"{}", "job_1"))
    delivery = await queue.intake(seen_lane.name, DEFAULT_WEIGHTS, 10).take()
    sight = await survey.look(seen_lane)
    assert sight.depths[BULK] == QueueDepth(0, 1)
    projection = survey.outlook(sight).projection(BULK)
    assert projection is not None
    assert projection.jobs_ahead == 1
    await delivery.ack()


async def test_a_paused_lane_is_seen_so(survey: LaneSurvey, seen_lane: Lane, pauses: LanePauses) -> None:
    await pauses.pause(seen_lane.name)
    sight = await survey.look(seen_lane)
    assert sight.is_paused
    assert survey.outlook(sight).projection(BULK) is None


async def test_the_queues_of_a_lane_that_was_never_declared_are_empty(survey: LaneSurvey, seen_lane: Lane) -> None:
    unknown = Lane(f"{seen_lane.name}-unknown", seen_lane.deployments)
    assert (await survey.look(unknown)).backlog == 0
