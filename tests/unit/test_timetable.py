"""When the duties fire: at the same moments in every scheduler, and often enough."""

from datetime import UTC, datetime

import pytest
from apscheduler.triggers.cron import CronTrigger

from scheduler.duties.republish_stranded_jobs import STRANDED_AFTER_S
from scheduler.leadership import LEASE_S, LOOKS_PER_LEASE
from scheduler.timetable import MISFIRE_GRACE_S, Row, every

NOW = datetime(2026, 11, 25, 10, 20, 33, 700_000, tzinfo=UTC).timestamp()


async def nothing() -> int:
    return 0


def row(seconds: float) -> Row:
    return Row("nothing", every(seconds), nothing)


@pytest.mark.parametrize("seconds", [5, 10, 60, 3600, 7])
def test_schedulers_that_start_at_different_moments_have_the_same_times(seconds: float) -> None:
    times = {row(seconds).next_after(NOW + late) for late in (0.0, 0.1, 0.2)}
    assert len(times) == 1
    [moment] = times
    assert moment is not None
    assert 0 <= moment - NOW <= seconds


def test_what_a_new_leader_may_have_to_make_up_for_is_the_last_time_of_a_duty() -> None:
    last = row(10).last_before(NOW)
    assert last == datetime(2026, 11, 25, 10, 20, 30, tzinfo=UTC)


def test_a_time_that_is_over_for_longer_than_the_grace_is_made_up_for_no_more() -> None:
    nightly = Row("nightly", CronTrigger(hour=3, timezone=UTC), nothing)
    three = datetime(2026, 11, 25, 3, tzinfo=UTC)
    assert nightly.last_before(three.timestamp() + MISFIRE_GRACE_S - 1) == three
    assert nightly.last_before(three.timestamp() + MISFIRE_GRACE_S + 1) is None
    assert nightly.last_before(three.timestamp() - 1) is None


def test_the_times_are_told_in_words() -> None:
    assert [row(seconds).times for seconds in (5, 60, 5400)] == ["every 5s", "every 1m", "every 1h30m"]


def test_a_stranded_job_is_published_within_a_minute_though_the_leading_scheduler_dies_as_well() -> None:
    takes_over_s = LEASE_S + LEASE_S / LOOKS_PER_LEASE
    assert STRANDED_AFTER_S + 10 + takes_over_s < 40
