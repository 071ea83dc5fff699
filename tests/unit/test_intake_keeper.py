"""What of a lane is consumed, and when: with a clock that the tests move."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from shared.domain.events import Event, LanePaused, MessagesReturned
from shared.domain.lanes import DEFERRABLE_WINDOWS, DeferrableWindow, JobClass
from tests.clock import SteppingClock, settle
from tests.unit.intakes import NotedIntake
from workers.intake_keeper import IntakeKeeper
from workers.lane_switch import LaneSwitch
from workers.rests import FETCHED_AT_MOST_S, LONGEST_REST_S

LANE = "gpt-4o"
STANDARD, BULK, SURPLUS = JobClass("standard"), JobClass("bulk"), JobClass("bulk.surplus")
DEFERRABLE = JobClass("deferrable.24h")


@dataclass
class Kept:
    keeper: IntakeKeeper
    intake: NotedIntake
    clock: SteppingClock
    switch: LaneSwitch
    events: list[Event] = field(default_factory=list)

    @property
    def is_all_paused(self) -> bool:
        return self.intake.paused == set(self.intake.classes)


@asynccontextmanager
async def keeping(windows: tuple[DeferrableWindow, ...] = DEFERRABLE_WINDOWS) -> AsyncIterator[Kept]:
    clock, switch, events = SteppingClock(), LaneSwitch(), list[Event]()
    intake = NotedIntake(clock, windows)
    keeper = IntakeKeeper(LANE, intake, switch, clock, events.append)
    task = asyncio.create_task(keeper.keep())
    await settle()
    yield Kept(keeper, intake, clock, switch, events)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


@pytest.fixture
async def kept() -> AsyncIterator[Kept]:
    async with keeping() as kept:
        yield kept


async def test_a_class_that_rests_shortly_keeps_what_it_has_and_others_go_on(kept: Kept) -> None:
    kept.intake.deliver("job", BULK)
    kept.keeper.rest(BULK, 3, "no capacity")
    await settle()
    assert [kept.keeper.allows(each) for each in (BULK, STANDARD)] == [False, True]
    assert kept.intake.paused == set()
    await kept.clock.advance(3)
    assert kept.keeper.allows(BULK)
    assert kept.intake.returned == []


async def test_whoever_waits_to_take_gets_it_when_the_rest_is_over(kept: Kept) -> None:
    kept.keeper.rest(BULK, 3, "no capacity")
    kept.intake.deliver("job", BULK)
    taking = asyncio.create_task(kept.intake.take(kept.keeper.allows))
    await kept.clock.advance(2.9)
    assert not taking.done()
    await kept.clock.advance(0.1)
    assert taking.done()


async def test_a_class_that_rests_for_long_gives_back_what_it_has_and_others_go_on(kept: Kept) -> None:
    kept.intake.deliver("patient", DEFERRABLE)
    kept.intake.deliver("other", STANDARD)
    kept.keeper.rest(DEFERRABLE, 30, "no idle capacity")
    await settle()
    assert kept.intake.returned == ["patient"]
    assert kept.intake.paused == {DEFERRABLE}
    await kept.clock.advance(29)
    assert kept.intake.paused == {DEFERRABLE}
    await kept.clock.advance(1)
    assert kept.intake.paused == set()


async def test_a_lane_that_rests_for_long_gives_everything_back(kept: Kept) -> None:
    kept.intake.deliver("one", BULK)
    kept.intake.deliver("other", STANDARD)
    kept.keeper.rest(None, 30, "no capacity")
    await settle()
    assert sorted(kept.intake.returned) == ["one", "other"]
    assert kept.is_all_paused
    await kept.clock.advance(30)
    assert kept.intake.paused == set()
    assert kept.keeper.allows(BULK)


async def test_no_rest_is_endless(kept: Kept) -> None:
    kept.keeper.rest(None, 86_400, "no capacity")
    await kept.clock.advance(LONGEST_REST_S)
    assert kept.intake.paused == set()


async def test_a_rest_is_announced_once_however_many_jobs_ask_for_it(kept: Kept) -> None:
    for _ in range(8):
        kept.keeper.rest(None, 10, "no capacity")
        kept.keeper.rest(BULK, 20, "no capacity")
    kept.keeper.rest(STANDARD, 0, "all is well")
    assert kept.events == [
        LanePaused(LANE, 10, "no capacity"),
        LanePaused(LANE, 20, "no capacity", "bulk"),
    ]


async def test_a_paused_lane_takes_nothing_and_holds_nothing_until_it_is_resumed(kept: Kept) -> None:
    kept.intake.deliver("job", STANDARD)
    kept.switch.pause(LANE)
    assert not kept.keeper.allows(STANDARD)
    await settle()
    assert kept.intake.returned == ["job"]
    assert kept.is_all_paused
    await kept.clock.advance(86_400)
    assert kept.is_all_paused
    kept.switch.resume(LANE)
    await settle()
    assert kept.intake.paused == set()
    assert kept.keeper.allows(STANDARD)


async def test_another_lanes_pause_changes_nothing(kept: Kept) -> None:
    kept.switch.pause("another")
    await settle()
    assert kept.intake.paused == set()
    assert kept.keeper.allows(STANDARD)


async def test_a_pause_outlasts_a_rest_and_a_rest_a_pause(kept: Kept) -> None:
    kept.keeper.rest(BULK, 30, "no capacity")
    kept.switch.pause(LANE)
    await kept.clock.advance(31)
    assert kept.is_all_paused
    kept.keeper.rest(BULK, 30, "no capacity")
    kept.switch.resume(LANE)
    await settle()
    assert kept.intake.paused == {BULK}


async def test_what_nobody_takes_of_a_main_class_goes_back_and_is_fetched_again_at_once(kept: Kept) -> None:
    kept.intake.deliver("job", BULK)
    await kept.clock.advance(FETCHED_AT_MOST_S / 2)
    assert kept.intake.returned == []
    await kept.clock.advance(FETCHED_AT_MOST_S)
    assert kept.intake.returned == ["job"]
    assert kept.intake.paused == set()
    assert [event for event in kept.events if isinstance(event, MessagesReturned)] == [
        MessagesReturned(LANE, "bulk", FETCHED_AT_MOST_S)
    ]


@pytest.mark.parametrize("job_class", [SURPLUS, DEFERRABLE])
async def test_what_nobody_takes_of_a_lesser_class_is_left_to_others_for_a_while(
    kept: Kept, job_class: JobClass
) -> None:
    kept.intake.deliver("job", job_class)
    await kept.clock.advance(FETCHED_AT_MOST_S)
    assert kept.intake.returned == ["job"]
    assert kept.intake.paused == {job_class}
    await kept.clock.advance(LONGEST_REST_S)
    assert kept.intake.paused == set()


async def test_a_window_of_seconds_is_given_back_in_time_for_its_end() -> None:
    window = DeferrableWindow.of("20s")
    async with keeping((window,)) as kept:
        kept.intake.deliver("job", JobClass("deferrable.20s"))
        await kept.clock.advance(window.margin_s)
        assert kept.intake.returned == ["job"]
        await kept.clock.advance(window.margin_s)
        assert kept.intake.paused == set()
