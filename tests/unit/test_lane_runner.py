"""Which jobs a lane's runner takes, and what becomes of the others: with a clock that the tests move."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest

from shared.domain.catalog import Lane
from shared.domain.errors import StoreUnavailable
from shared.domain.events import Event
from shared.domain.lanes import JobClass, Priority
from shared.domain.retry import RetryPolicy
from shared.domain.work_queue import Delivery
from tests.clock import SteppingClock, settle
from tests.unit.intakes import NotedIntake
from workers.executor import Executor, Verdict
from workers.lane_runner import AFTER_OUTAGE_S, LaneRunner
from workers.lane_switch import LaneSwitch
from workers.lease import WorkerLease
from workers.rests import ON_THE_WAY_AT_MOST_S
from workers.room import PLACES, Room

INTERACTIVE, STANDARD, BULK = JobClass("interactive"), JobClass("standard"), JobClass("bulk")
DEFERRABLE, SHORT = JobClass("deferrable.24h"), JobClass("deferrable.1h")


class Waiting:
    """Stands for the executor: every job waits until the test says how it ends."""

    def __init__(self) -> None:
        self.jobs: dict[str, asyncio.Future[Verdict]] = {}

    async def execute(self, delivery: Delivery, _: Lane) -> Verdict:
        future: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self.jobs[delivery.message.job_id] = future
        try:
            return await future
        finally:
            del self.jobs[delivery.message.job_id]


class Held:
    """Stands for a worker's lease that nothing takes away."""

    async def held(self) -> None:
        """It is."""

    def doubt(self) -> None:
        """It is renewed at once."""


@dataclass
class Running:
    runner: LaneRunner
    intake: NotedIntake
    executor: Waiting
    room: Room
    clock: SteppingClock
    events: list[Event] = field(default_factory=list)

    async def deliver(self, job_class: JobClass, count: int) -> None:
        """Deliver ``bulk-0``, ``bulk-1`` …"""
        for number in range(count):
            self.intake.deliver(f"{job_class.name}-{number}", job_class)
        await settle()

    def taken(self, job_class: JobClass) -> int:
        return sum(job_id.startswith(f"{job_class.name}-") for job_id in self.executor.jobs)

    async def end(self, job_id: str, verdict: Verdict | Exception) -> None:
        future = self.executor.jobs[job_id]
        if isinstance(verdict, Exception):
            future.set_exception(verdict)
        else:
            future.set_result(verdict)
        await settle()


@asynccontextmanager
async def run_lane(slots: int) -> AsyncIterator[Running]:
    clock, events = SteppingClock(), list[Event]()
    intake, executor, room = NotedIntake(clock), Waiting(), Room(slots)
    lane = Lane("lane", (), RetryPolicy())
    runner = LaneRunner(lane, intake, cast("Executor", executor), cast("WorkerLease", Held()), room, LaneSwitch())
    task = asyncio.create_task(runner.run(clock, events.append))
    await settle()
    yield Running(runner, intake, executor, room, clock, events)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await runner.drain(0)


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with run_lane(slots=100) as running:
        yield running


async def test_waiting_work_of_lower_classes_leaves_interactive_work_its_places(running: Running) -> None:
    for waiting in (DEFERRABLE, BULK, STANDARD):
        await running.deliver(waiting, 20)
    await running.deliver(INTERACTIVE, 20)
    taken = [running.taken(each) for each in (DEFERRABLE, BULK, STANDARD, INTERACTIVE)]
    assert taken == [2, PLACES[Priority.BULK], PLACES[Priority.STANDARD], PLACES[Priority.INTERACTIVE]]


async def test_a_job_that_found_capacity_makes_room_for_the_next_of_its_class(running: Running) -> None:
    await running.deliver(DEFERRABLE, 3)
    assert running.taken(DEFERRABLE) == 2
    running.room.leave("deferrable.24h-0")
    await settle()
    assert running.taken(DEFERRABLE) == 3


async def test_full_slots_keep_some_for_interactive_work() -> None:
    async with run_lane(slots=4) as running:
        await running.deliver(BULK, 10)
        assert running.taken(BULK) == 3
        await running.deliver(INTERACTIVE, 10)
        assert running.taken(INTERACTIVE) == 1
        await running.end("bulk-0", Verdict())
        assert (running.taken(BULK), running.taken(INTERACTIVE)) == (2, 2)


async def test_a_class_that_is_told_to_rest_rests_alone(running: Running) -> None:
    await running.deliver(DEFERRABLE, 4)
    await running.end("deferrable.24h-0", Verdict(30.0, DEFERRABLE))
    assert running.intake.returned == ["deferrable.24h-0", "deferrable.24h-2", "deferrable.24h-3"]
    assert running.intake.paused == {DEFERRABLE}
    await running.deliver(BULK, 1)
    assert running.taken(BULK) == 1
    await running.clock.advance(30)
    await running.deliver(DEFERRABLE, 1)
    assert running.taken(DEFERRABLE) == 2


async def test_a_lane_that_is_told_to_rest_takes_nothing(running: Running) -> None:
    await running.deliver(BULK, 1)
    await running.end("bulk-0", Verdict(4.0))
    await running.deliver(INTERACTIVE, 1)
    assert running.taken(INTERACTIVE) == 0
    await running.clock.advance(4)
    assert running.taken(INTERACTIVE) == 1


async def test_a_job_under_which_the_store_went_away_is_given_back_and_its_lane_rests(running: Running) -> None:
    await running.deliver(BULK, 1)
    await running.end("bulk-0", StoreUnavailable("gone"))
    assert running.intake.returned == ["bulk-0"]
    await running.deliver(BULK, 1)
    assert running.taken(BULK) == 0
    await running.clock.advance(AFTER_OUTAGE_S)
    assert running.taken(BULK) == 1


async def test_a_job_that_finds_no_capacity_for_long_is_given_back_for_the_brokers_sake(running: Running) -> None:
    await running.deliver(BULK, 2)
    running.room.leave("bulk-1")
    await running.clock.advance(ON_THE_WAY_AT_MOST_S * 1.2)
    assert running.intake.returned == ["bulk-0"]
    assert list(running.executor.jobs) == ["bulk-1"]


async def test_a_job_of_a_window_waits_for_capacity_no_longer_than_half_of_what_is_left_for_its_work(
    running: Running,
) -> None:
    await running.deliver(SHORT, 1)
    await running.clock.advance(100)
    assert running.intake.returned == ["deferrable.1h-0"]


async def test_what_is_fetched_and_cannot_be_taken_goes_back_before_the_broker_minds(running: Running) -> None:
    await running.deliver(DEFERRABLE, 5)
    await running.clock.advance(61)
    assert running.intake.returned == [f"deferrable.24h-{number}" for number in (2, 3, 4)]
