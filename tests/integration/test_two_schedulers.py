"""Several schedulers on one store: one acts, and each firing happens once whatever becomes of it."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, tzinfo

import apscheduler.executors.base
import apscheduler.schedulers.base
import pytest
from apscheduler.triggers.interval import IntervalTrigger
from redis.asyncio import Redis

from scheduler.scheduler import Scheduler
from scheduler.timetable import Row, every
from shared.adapters.redis.connection import connect
from shared.adapters.redis.keys import LEADER, firings_of
from shared.adapters.redis.schedule import RedisSchedule
from shared.domain.clock import SystemClock
from shared.domain.errors import StoreUnavailable
from shared.domain.events import DutyRan, Event, FiringsTaken, LeadLost, LeadTaken
from shared.domain.schedule import Beginning, Firing, PlannedDuty
from tests.clock import WrongClock
from tests.eventually import eventually
from tests.integration.scheduler_process import DUTIES, done_key

LEASE_S = 3.0
INTERVAL_S = 0.2


@pytest.fixture
async def client(valkey_url: str) -> AsyncIterator[Redis]:
    client = connect(valkey_url)
    assert isinstance(client, Redis)
    yield client
    await client.aclose()


@pytest.fixture
def schedule(client: Redis) -> RedisSchedule:
    return RedisSchedule(client)


@asynccontextmanager
async def processes(url: str, count: int, lease_s: float = LEASE_S) -> AsyncIterator[dict[int, Process]]:
    """Run schedulers, by their process ids."""
    started = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.integration.scheduler_process", url, str(lease_s), str(INTERVAL_S))
        )
        for _ in range(count)
    ]
    try:
        yield {process.pid: process for process in started}
    finally:
        for process in started:
            if process.returncode is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            await process.wait()


async def leader_of(schedule: RedisSchedule, other_than: int = 0) -> tuple[int, int]:
    """Wait until somebody leads, and give its process and its term."""

    async def look() -> tuple[int, int] | None:
        leader = (await schedule.look()).leader
        if leader is None or not leader.is_leading:
            return None
        pid = int(leader.name.split("-")[-2])
        return None if pid == other_than else (pid, leader.term)

    found = await eventually(look)
    assert found is not None
    return found


async def done(client: Redis, duty: str) -> list[int]:
    """Give who did a duty, once for each time it was done."""
    return [int(pid) for pid in await client.lrange(done_key(duty), 0, -1)]


async def have_been_done(client: Redis, times: int) -> None:
    async def look() -> bool:
        return all([len(await done(client, duty)) >= times for duty in DUTIES])

    await eventually(look)


@pytest.mark.hazard(31)
async def test_two_schedulers_fire_once_though_one_is_paused_beyond_its_lease_and_woken(
    valkey_url: str, client: Redis, schedule: RedisSchedule
) -> None:
    async with processes(valkey_url, 2) as both:
        paused, term = await leader_of(schedule)
        await have_been_done(client, 3)
        both[paused].send_signal(signal.SIGSTOP)
        successor, next_term = await leader_of(schedule, other_than=paused)
        assert next_term > term
        before = len(await done(client, DUTIES[0]))
        await have_been_done(client, before + 4)
        both[paused].send_signal(signal.SIGCONT)
        woken = len(await done(client, DUTIES[0]))
        await have_been_done(client, woken + 8)
        assert await leader_of(schedule) == (successor, next_term)
        for pid in both:
            os.kill(pid, signal.SIGTERM)
        assert [await process.wait() for process in both.values()] == [0, 0]
    for duty in DUTIES:
        by_whom = await done(client, duty)
        assert len(by_whom) == await client.zcard(firings_of(duty))
        assert by_whom == sorted(by_whom, key=[paused, successor].index)


async def test_a_scheduler_that_is_told_to_stop_hands_the_lead_over_at_once(
    valkey_url: str, client: Redis, schedule: RedisSchedule
) -> None:
    async with processes(valkey_url, 2, lease_s=9.0) as both:
        first, _ = await leader_of(schedule)
        both[first].send_signal(signal.SIGTERM)
        assert await both[first].wait() == 0
        loop = asyncio.get_running_loop()
        stopped_at = loop.time()
        await leader_of(schedule, other_than=first)
        assert loop.time() - stopped_at < 6.0  # not before 6 s, had it kept the lease


class Sleepy(RedisSchedule):
    """A scheduler with this falls asleep after it decided to fire, and before the store hears of it."""

    asleep: asyncio.Event
    awake: asyncio.Event

    async def lead(self, name: str, lease_s: float) -> int | None:
        if self.asleep.is_set():
            await self.awake.wait()
        return await super().lead(name, lease_s)

    async def begin(self, name: str, term: int, firing: Firing) -> Beginning:
        self.asleep.set()
        await self.awake.wait()
        return await super().begin(name, term, firing)


@pytest.mark.hazard(31)
async def test_who_falls_asleep_between_deciding_and_acting_does_not_act(client: Redis) -> None:
    sleepy, events, acts, stop = Sleepy(client), list[Event](), list[str](), asyncio.Event()
    sleepy.asleep, sleepy.awake = asyncio.Event(), asyncio.Event()

    def row(who: str) -> Row:
        async def duty() -> int:
            acts.append(who)
            return 0

        return Row("act", every(0.1), duty)

    first = asyncio.create_task(Scheduler([row("first")], sleepy, SystemClock(), events.append, 1.0).run(stop))
    await sleepy.asleep.wait()
    await client.hset(LEADER, "until", "0")  # its lease is over
    second = RedisSchedule(client)
    term = await second.lead("second", 30.0)
    assert term == 2
    sleepy.awake.set()

    async def lost() -> bool:
        return any(isinstance(event, LeadLost) for event in events)

    await eventually(lost)
    stop.set()
    await first
    assert acts == []
    assert [event.term for event in events if isinstance(event, LeadTaken)] == [1]


class Hiccup(RedisSchedule):
    """The store goes away when a new leader tells its timetable, once."""

    is_over = False

    async def publish(self, name: str, term: int, duties: Sequence[PlannedDuty]) -> bool:
        if not self.is_over:
            self.is_over = True
            raise StoreUnavailable
        return await super().publish(name, term, duties)


async def test_a_timetable_that_could_not_be_told_at_the_change_is_told_at_the_next_renewal(client: Redis) -> None:
    async def duty() -> int:
        return 0

    schedule, stop = Hiccup(client), asyncio.Event()
    rows = [Row("act", every(3600), duty)]
    running = asyncio.create_task(Scheduler(rows, schedule, SystemClock(), list[Event]().append, 0.6).run(stop))

    async def is_told() -> bool:
        return [planned.name for planned, _ in (await schedule.look()).duties] == ["act"]

    await eventually(is_told)
    stop.set()
    await running


class Paused(IntervalTrigger):  # type: ignore[misc]  # APScheduler 3 ships no types
    """After its first firing it leaves behind what a pause of ten minutes does: a next time that is long over."""

    is_over = False

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None:
        if previous is not None and not self.is_over:
            self.is_over = True
            previous -= timedelta(seconds=600)
        found: datetime | None = super().get_next_fire_time(previous, now)
        return found


@pytest.mark.hazard(38)
async def test_a_scheduler_that_was_paused_for_ten_minutes_fires_once_for_all_it_missed(client: Redis) -> None:
    events, stop = list[Event](), asyncio.Event()
    trigger = Paused(seconds=INTERVAL_S, start_date=datetime(2026, 1, 1, tzinfo=UTC), timezone=UTC)

    async def duty() -> int:
        if trigger.is_over and len(events) > 8:
            stop.set()
        return 1

    loop = asyncio.get_running_loop()
    began_at = loop.time()
    await Scheduler([Row("act", trigger, duty)], RedisSchedule(client), SystemClock(), events.append, 1.0).run(stop)
    fired = sum(isinstance(event, DutyRan) for event in events)
    assert fired == await client.zcard(firings_of("act"))
    assert 5 < fired <= (loop.time() - began_at) / INTERVAL_S + 2  # and not the 3,000 that were missed


def set_wrong(patch: pytest.MonkeyPatch, offset_s: float) -> WrongClock:
    """Set the clock of the engine, and give one that is as wrong."""
    clock = WrongClock(offset_s=offset_s)

    class WrongDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(clock.now(), tz)

    for module in (apscheduler.schedulers.base, apscheduler.executors.base):
        patch.setattr(module, "datetime", WrongDatetime)
    return clock


@pytest.mark.hazard(35)
@pytest.mark.parametrize(("first", "second"), [(300.0, 0.0), (0.0, -300.0)], ids=["first fast", "second slow"])
async def test_a_leader_whose_clock_is_five_minutes_off_takes_no_times_from_its_successor(
    client: Redis, monkeypatch: pytest.MonkeyPatch, first: float, second: float
) -> None:
    events = list[Event]()
    for offset_s in (first, second):
        stop, runs = asyncio.Event(), list[int]()

        async def duty(runs: list[int] = runs, stop: asyncio.Event = stop) -> int:
            runs.append(1)
            if len(runs) == 3:
                stop.set()
            return 1

        with monkeypatch.context() as patch:
            clock = set_wrong(patch, offset_s)
            scheduler = Scheduler(
                [Row("act", every(INTERVAL_S), duty)], RedisSchedule(client), clock, events.append, 1.0
            )
            await asyncio.wait_for(scheduler.run(stop), 10)
        assert len(runs) >= 3
    [(_, ran)] = (await RedisSchedule(client).look()).duties
    assert all(abs(run.fires_at - run.began_at) < 5 for run in ran)
    assert not [event for event in events if isinstance(event, FiringsTaken)]


async def test_a_duty_whose_times_are_all_taken_says_so(client: Redis) -> None:
    now, events, stop = SystemClock().now(), list[Event](), asyncio.Event()
    row = Row("act", every(INTERVAL_S), lambda: asyncio.sleep(0, 0))
    slot, taken = row.next_after(now - 1), list[int]()
    while slot is not None and slot < now + 3:
        taken.append(round(slot * 1000))
        slot = row.next_after(slot + 0.001)
    await client.zadd(firings_of("act"), {str(time): time for time in taken})

    def note(event: Event) -> None:
        events.append(event)
        if isinstance(event, DutyRan | FiringsTaken):
            stop.set()

    await Scheduler([row], RedisSchedule(client), SystemClock(), note, 1.0).run(stop)
    assert [event for event in events if isinstance(event, FiringsTaken)] == [FiringsTaken("act", 3)]
