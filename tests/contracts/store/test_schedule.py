"""What all schedulers share: the lease and its term, and what was begun in it."""

import pytest

from shared.adapters.redis.connection import Client
from shared.adapters.redis.schedule import RedisSchedule
from shared.domain.clock import SystemClock
from shared.domain.schedule import RUNS_KEPT, Beginning, Firing, PlannedDuty, Result, Schedule
from tests.eventually import eventually

NOW = SystemClock().now()


@pytest.fixture
def schedule(client: Client) -> Schedule:
    return RedisSchedule(client)


def firing(seconds_ago: float = 1.0, duty: str = "mend things") -> Firing:
    return Firing(duty, NOW - seconds_ago, "every 10s", NOW + 9)


async def term_of(schedule: Schedule, name: str, lease_s: float = 30.0) -> int:
    term = await schedule.lead(name, lease_s)
    assert term is not None
    return term


async def test_one_leads_and_its_renewals_keep_the_term(schedule: Schedule) -> None:
    assert await schedule.lead("a", 30.0) == 1
    assert await schedule.lead("b", 30.0) is None
    assert await schedule.lead("a", 30.0) == 1


async def test_the_term_grows_with_each_change_of_leader_and_with_each_lapse(schedule: Schedule) -> None:
    assert await schedule.lead("a", 0.01) == 1

    async def of_b() -> int | None:
        return await schedule.lead("b", 0.01)

    assert await eventually(of_b) == 2

    async def of_b_again() -> bool:
        return await schedule.lead("b", 0.001) == 3

    assert await eventually(of_b_again)


async def test_a_lease_given_back_is_free_at_once_and_only_its_holder_can_give_it(schedule: Schedule) -> None:
    await schedule.lead("a", 30.0)
    await schedule.resign("b")
    assert await schedule.lead("b", 30.0) is None
    await schedule.resign("a")
    assert await schedule.lead("b", 30.0) == 2


@pytest.mark.hazard(31)
async def test_a_firing_begins_once_and_never_in_a_stale_term(schedule: Schedule) -> None:
    stale = await term_of(schedule, "a", 0.01)

    async def next_term() -> int | None:
        return await schedule.lead("b", 30.0)

    term = await eventually(next_term)
    assert term is not None
    assert await schedule.begin("a", stale, firing()) is Beginning.STALE
    assert await schedule.begin("a", term, firing()) is Beginning.STALE
    assert await schedule.begin("b", stale, firing()) is Beginning.STALE
    assert await schedule.begin("b", term, firing()) is Beginning.BEGUN
    assert await schedule.begin("b", term, firing()) is Beginning.REPEATED
    assert await schedule.begin("b", term, firing(duty="another duty")) is Beginning.BEGUN
    assert await schedule.begin("b", term, firing(seconds_ago=11)) is Beginning.BEGUN
    await schedule.resign("b")
    assert await schedule.begin("b", term, firing(seconds_ago=21)) is Beginning.STALE


async def test_a_firing_too_long_ago_to_know_whether_it_was_begun_is_not_begun(schedule: Schedule) -> None:
    term = await term_of(schedule, "a")
    assert await schedule.begin("a", term, firing(seconds_ago=3 * 3600)) is Beginning.REPEATED


@pytest.mark.hazard(35)
async def test_a_firing_whose_time_has_not_come_by_the_stores_clock_is_not_begun(schedule: Schedule) -> None:
    term = await term_of(schedule, "a")
    assert await schedule.begin("a", term, firing(seconds_ago=-300)) is Beginning.EARLY
    assert await schedule.begin("a", term, firing()) is Beginning.BEGUN
    assert abs(await schedule.now() - SystemClock().now()) < 2


async def test_nobody_has_led_yet_in_an_empty_store(schedule: Schedule) -> None:
    sight = await schedule.look()
    assert (sight.leader, list(sight.duties)) == (None, [])


async def test_what_ran_and_what_it_did_is_seen_the_last_first(schedule: Schedule) -> None:
    term = await term_of(schedule, "a")
    assert await schedule.publish("a", term, [PlannedDuty("mend things", "every 10s", NOW), PlannedDuty("rest", "", 5)])
    await schedule.begin("a", term, firing(21))
    await schedule.begin("a", term, firing(11))
    await schedule.begin("a", term, firing(1))
    await schedule.end(term, firing(21), Result(3, {"gpt-4o": 2, "x": 1}))
    await schedule.end(term, firing(11), Result(error="It broke."))
    await schedule.end(term + 1, firing(1), Result(9))
    sight = await schedule.look()
    assert sight.leader is not None
    assert (sight.leader.name, sight.leader.term, sight.leader.is_leading) == ("a", 1, True)
    (mend, runs), (rest, no_runs) = sight.duties
    assert (rest, list(no_runs)) == (PlannedDuty("rest", "", 5), [])
    assert mend == PlannedDuty("mend things", "every 10s", NOW + 9)
    assert [(run.did, dict(run.parts), run.error) for run in runs] == [
        (None, {}, None),
        (0, {}, "It broke."),
        (3, {"gpt-4o": 2, "x": 1}, None),
    ]
    assert {(run.by, run.term) for run in runs} == {("a", 1)}
    assert runs[0].ended_at is None
    assert runs[2].ended_at is not None
    assert runs[2].ended_at >= runs[2].began_at
    assert [round(NOW - run.fires_at) for run in runs] == [1, 11, 21]


async def test_the_timetable_is_that_of_who_leads(schedule: Schedule) -> None:
    term = await term_of(schedule, "a")
    await schedule.publish("a", term, [PlannedDuty("old", "", None), PlannedDuty("kept", "", None)])
    await schedule.publish("a", term, [PlannedDuty("kept", "", None)])
    assert not await schedule.publish("b", term, [PlannedDuty("forged", "", None)])
    assert [planned.name for planned, _ in (await schedule.look()).duties] == ["kept"]


async def test_as_many_runs_are_kept_as_are_looked_at(schedule: Schedule) -> None:
    term = await term_of(schedule, "a")
    for seconds in range(RUNS_KEPT + 5, 0, -1):
        assert await schedule.begin("a", term, firing(seconds)) is Beginning.BEGUN
    [(_, runs)] = (await schedule.look()).duties
    assert [round(NOW - run.fires_at) for run in runs] == list(range(1, RUNS_KEPT + 1))
    assert await schedule.begin("a", term, firing(RUNS_KEPT + 5)) is Beginning.REPEATED


async def test_runs_that_did_nothing_do_not_crowd_out_those_that_did_something_or_failed(schedule: Schedule) -> None:
    term = await term_of(schedule, "a")
    results = {90: Result(7), 80: Result(error="It broke."), 70: Result()}
    for seconds in range(100, 0, -1):
        await schedule.begin("a", term, firing(seconds))
        if seconds != 60:
            await schedule.end(term, firing(seconds), results.get(seconds, Result()))
    [(_, runs)] = (await schedule.look()).duties
    assert [round(NOW - run.fires_at) for run in runs] == [1, 2, 3, 4, 5, 60, 80, 90]
    assert [(run.did, run.error) for run in runs[5:]] == [(None, None), (0, "It broke."), (7, None)]
