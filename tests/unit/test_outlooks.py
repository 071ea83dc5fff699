"""What an API process knows of its lanes: about a second old, and no submission waits for it."""

import asyncio
from dataclasses import dataclass, field

import pytest

from producer_api.lane_survey import LaneSurvey
from producer_api.outlooks import FRESH_S, LONGEST_WAIT_S, STALE_S, Outlooks
from shared.domain.catalog import Catalog, Lane
from shared.domain.errors import StoreUnavailable
from shared.domain.events import BackgroundTaskDied, Event
from shared.domain.lane_sight import LaneSight
from shared.domain.lanes import CLASSES, DEFAULT_WEIGHTS, JobClass
from shared.domain.limit_state import LimitState
from shared.domain.routing import ClientKind, ConfiguredLimits, Deployment
from shared.domain.work_queue import QueueDepth
from tests.clock import ManualClock

BULK = JobClass("bulk")
LIMITS = ConfiguredLimits(requests_per_minute=600, tokens_per_minute=60_000)
LANE = Lane("m", (Deployment("d1", "m", "openai/m", ClientKind.HTTP, limits=LIMITS),))


@dataclass
class Servers(LaneSurvey):
    """What a survey would find, when the test lets it. ``looks``: how often it was asked."""

    clock: ManualClock
    waiting: int = 0
    looks: int = 0
    fails_with: Exception | None = None
    answer: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._weights = DEFAULT_WEIGHTS
        self.answer.set()

    async def look(self, lane: Lane) -> LaneSight:
        self.looks += 1
        at, waiting = self.clock.now(), self.waiting
        await self.answer.wait()
        if self.fails_with is not None:
            raise self.fails_with
        depths = dict.fromkeys(CLASSES, QueueDepth(0, 0)) | {BULK: QueueDepth(waiting, 0)}
        return LaneSight(lane, at, depths, (LimitState(at, 1.0),), is_paused=False)


@dataclass
class Rig:
    servers: Servers
    clock: ManualClock
    outlooks: Outlooks
    events: list[Event]

    async def ahead(self) -> int | None:
        """The jobs ahead of a new bulk job."""
        outlook = await self.outlooks.of("m")
        projection = outlook and outlook.projection(BULK)
        return projection.jobs_ahead if projection else None

    def send(self, team: str, jobs: int = 1) -> None:
        """Send bulk jobs; they are in their queue at once."""
        for _ in range(jobs):
            self.outlooks.joined("m", BULK, team)
            self.outlooks.arrived("m", BULK, team)

    async def looked(self) -> None:
        """Let a look under way come to its end."""
        looking = self.outlooks._known["m"].looking
        if looking is not None:
            await asyncio.wait([looking])


@pytest.fixture
def rig() -> Rig:
    clock, events = ManualClock(), list[Event]()
    servers = Servers(clock, waiting=10)
    return Rig(servers, clock, Outlooks(servers, Catalog({"m": LANE}), clock, events.append), events)


async def test_the_first_submission_waits_for_the_first_look(rig: Rig) -> None:
    assert await rig.ahead() == 10


async def test_many_at_once_share_one_look(rig: Rig) -> None:
    rig.servers.answer.clear()
    asking = [asyncio.create_task(rig.ahead()) for _ in range(20)]
    await asyncio.sleep(0)
    rig.servers.answer.set()
    assert await asyncio.gather(*asking) == [10] * 20
    assert rig.servers.looks == 1


async def test_later_ones_get_what_is_known_while_it_is_looked_at_again(rig: Rig) -> None:
    await rig.ahead()
    rig.servers.waiting = 50
    rig.clock.seconds += FRESH_S
    assert await rig.ahead() == 10
    await rig.looked()
    assert await rig.ahead() == 50
    assert rig.servers.looks == 2


async def test_a_lane_is_looked_at_once_a_second_at_most_and_only_if_somebody_asks(rig: Rig) -> None:
    for _ in range(100):
        await rig.ahead()
    assert rig.servers.looks == 1
    rig.clock.seconds += 10 * FRESH_S
    await rig.ahead()
    await rig.looked()
    assert rig.servers.looks == 2


async def test_jobs_sent_from_here_count_at_once_and_those_sent_during_a_look_after_it_too(rig: Rig) -> None:
    await rig.ahead()
    rig.send("team")
    assert await rig.ahead() == 11
    rig.clock.seconds += FRESH_S
    rig.servers.answer.clear()
    await rig.ahead()
    await asyncio.sleep(0)  # the look begins
    rig.send("team")
    assert await rig.ahead() == 12
    rig.servers.waiting = 40
    rig.servers.answer.set()
    await rig.looked()
    assert await rig.ahead() == 11, "the look began when 10 waited, and one was sent while it was under way"
    rig.clock.seconds += FRESH_S
    await rig.ahead()
    await rig.looked()
    assert await rig.ahead() == 40


async def test_a_server_that_does_not_answer_holds_up_no_submission_for_long(rig: Rig) -> None:
    rig.servers.answer.clear()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    assert await rig.ahead() is None
    assert loop.time() - begun < LONGEST_WAIT_S + 1
    await rig.outlooks.close()


async def test_an_outage_leaves_the_last_known_until_it_says_nothing_any_more(rig: Rig) -> None:
    await rig.ahead()
    rig.servers.fails_with = StoreUnavailable()
    rig.clock.seconds += FRESH_S
    await rig.ahead()
    await rig.looked()
    assert await rig.ahead() == 10
    rig.clock.seconds += STALE_S
    assert await rig.ahead() is None
    assert rig.events == []


async def test_a_fault_of_our_own_is_announced_and_the_next_look_goes_on(rig: Rig) -> None:
    rig.servers.fails_with = ZeroDivisionError()
    assert await rig.ahead() is None
    assert rig.events == [BackgroundTaskDied("lane-outlook", "ZeroDivisionError")]
    rig.servers.fails_with = None
    rig.clock.seconds += FRESH_S
    assert await rig.ahead() == 10


async def test_a_sight_is_a_second_old_at_most_or_of_now(rig: Rig) -> None:
    assert (await rig.outlooks.sight(LANE)).backlog == 10
    rig.servers.waiting = 20
    assert (await rig.outlooks.sight(LANE)).backlog == 10
    assert (await rig.outlooks.sight(LANE, at_once=True)).backlog == 20
    rig.servers.waiting = 30
    rig.clock.seconds += FRESH_S * 1.01
    assert (await rig.outlooks.sight(LANE)).backlog == 30


async def test_who_asks_for_a_sight_is_told_of_an_outage(rig: Rig) -> None:
    rig.servers.fails_with = StoreUnavailable()
    with pytest.raises(StoreUnavailable):
        await rig.outlooks.sight(LANE)


async def test_the_tokens_that_jobs_are_expected_to_take_are_averaged(rig: Rig) -> None:
    await rig.ahead()
    rig.outlooks.expect_tokens("m", 1_000.0)
    outlook = await rig.outlooks.of("m")
    assert outlook is not None
    assert outlook.starts_per_s == 1.0
    for _ in range(200):
        rig.outlooks.expect_tokens("m", 500.0)
    rig.clock.seconds += FRESH_S
    await rig.ahead()
    await rig.looked()
    outlook = await rig.outlooks.of("m")
    assert outlook is not None
    assert outlook.starts_per_s == pytest.approx(2.0, rel=0.01)


async def test_the_others_jobs_are_those_that_were_seen_and_that_joined_since_without_the_teams_own(rig: Rig) -> None:
    await rig.ahead()
    for _ in range(600):
        rig.outlooks.joined("m", BULK, "noisy")
    for _ in range(30):
        rig.outlooks.joined("m", BULK.surplus, "quiet")
    assert rig.outlooks.others_than("quiet", 0, "m", BULK) == 610
    assert rig.outlooks.others_than("quiet", 30, "m", BULK) == 600, "those that were seen may all be its own"
    assert rig.outlooks.others_than("noisy", 600, "m", BULK) == 30


async def test_what_joined_before_the_last_look_is_counted_by_the_look_alone(rig: Rig) -> None:
    await rig.ahead()
    rig.send("noisy", 50)
    rig.servers.waiting = 60
    rig.clock.seconds += FRESH_S
    await rig.ahead()
    await rig.looked()
    assert rig.outlooks.others_than("quiet", 1, "m", BULK) == 59


async def test_who_did_not_come_after_all_is_not_counted(rig: Rig) -> None:
    await rig.ahead()
    rig.outlooks.joined("m", BULK, "team")
    rig.outlooks.left("m", BULK, "team")
    assert await rig.ahead() == 10
    assert rig.outlooks.others_than("other", 0, "m", BULK) == 10


async def test_what_is_on_its_way_to_its_queue_is_counted_beside_what_a_look_sees(rig: Rig) -> None:
    await rig.ahead()
    for _ in range(3):
        rig.outlooks.joined("m", BULK, "team")
    rig.outlooks.arrived("m", BULK, "team")
    rig.outlooks.left("m", BULK, "team")
    rig.servers.waiting = 11
    rig.clock.seconds += FRESH_S
    await rig.ahead()
    await rig.looked()
    assert await rig.ahead() == 12
    assert rig.outlooks.others_than("other", 0, "m", BULK) == 12


async def test_what_came_before_the_first_look_was_done_is_counted(rig: Rig) -> None:
    rig.servers.answer.clear()
    assert await rig.ahead() is None, "the servers take longer than a submission waits"
    rig.send("team", 5)
    rig.servers.answer.set()
    await rig.looked()
    assert await rig.ahead() == 15
