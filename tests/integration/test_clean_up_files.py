"""The duty that removes files nobody needs any more, on real parts."""

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scheduler.duties import clean_up_files
from scheduler.duties.clean_up_files import CleanUpFiles, FileShelf
from scheduler.timetable import timetable
from shared.adapters.redis.deliveries import RedisDeliveries
from shared.adapters.redis.job_store import RedisJobStore
from shared.adapters.redis.job_upkeep import RedisJobUpkeep
from shared.adapters.redis.provider_changes import RedisProviderChanges
from shared.domain.clock import SystemClock
from shared.domain.errors import FilesUnavailable
from shared.domain.job import Job, JobSpec, JobStatus, Outcome
from shared.domain.job_files import JobFile
from shared.domain.lanes import Priority
from tests.clock import ManualClock
from tests.integration.large_bodies_rig import MIB, TEAM, Road, road
from tests.integration.worker_rig import duty_parts

DAY_S = 86_400.0
KEPT_S = 14 * DAY_S
LARGE = "x" * MIB


@pytest.fixture
async def way(valkey_url: str, tmp_path: Path) -> AsyncIterator[Road]:
    async with road(valkey_url, tmp_path / "files") as way:
        yield way


@pytest.fixture
def clock() -> ManualClock:
    """It begins now: files bear the moment they were written."""
    return ManualClock(SystemClock().now())


@pytest.fixture
def duty(way: Road, clock: ManualClock) -> CleanUpFiles:
    return CleanUpFiles(FileShelf(way.rig.parts.store, way.files, KEPT_S), clock)


async def lose_the_records(way: Road) -> None:
    await way.api.redis.flushdb()


async def spec_of(way: Road, job_id: str) -> JobSpec:
    return (await way.api.job(job_id)).spec


async def test_the_request_of_a_waiting_job_is_kept_however_long_it_waits(
    way: Road, duty: CleanUpFiles, clock: ManualClock
) -> None:
    await way.accepted(LARGE)
    clock.seconds += 365 * DAY_S
    assert await duty() == 0
    assert len(way.filed("requests")) == 1


async def test_a_request_outlives_its_record_by_the_longest_time_its_message_may_wait(
    way: Road, duty: CleanUpFiles, clock: ManualClock
) -> None:
    await way.accepted(LARGE)
    await lose_the_records(way)
    clock.seconds += KEPT_S
    assert await duty() == 0
    clock.seconds += DAY_S  # its day is whole
    assert await duty() == 1
    assert way.filed("requests") == []


async def test_the_request_of_a_job_for_next_year_is_kept_until_then_without_its_record(
    way: Road, duty: CleanUpFiles, clock: ManualClock
) -> None:
    next_year = datetime.fromtimestamp(clock.seconds + 300 * DAY_S, UTC)
    await way.accepted(LARGE, run_at=next_year.isoformat())
    await lose_the_records(way)
    clock.seconds += 300 * DAY_S + KEPT_S
    assert await duty() == 0
    clock.seconds += DAY_S
    assert await duty() == 1


async def test_a_request_that_a_crash_left_of_an_ended_job_goes_and_that_of_a_failed_one_stays(
    way: Road, duty: CleanUpFiles
) -> None:
    for status in (JobStatus.SUCCEEDED, JobStatus.FAILED):
        spec = await spec_of(way, await way.accepted(f"{LARGE} {status}"))
        claim = await way.api.store.claim(spec, "worker-1")
        assert await way.api.store.finish(spec, claim.fence, Outcome(status), ())  # and no file is removed
    assert len(way.filed("requests")) == 2
    assert await duty() == 1
    assert [path.name for path in way.filed("requests")] == [f"{spec.id}.json"]


async def test_a_result_goes_when_its_record_is_gone_and_not_before(
    way: Road, duty: CleanUpFiles, clock: ManualClock
) -> None:
    way.provider.answer = LARGE
    await way.accepted("What is large?")
    await way.work()
    clock.seconds += 6 * DAY_S
    assert await duty() == 0
    await lose_the_records(way)  # as at the end of its retention
    assert await duty() == 1
    assert way.filed("results") == []


async def test_a_result_that_no_record_names_yet_is_kept_for_a_day(
    way: Road, duty: CleanUpFiles, clock: ManualClock
) -> None:
    spec = JobSpec("job_01unknown", TEAM, "/v1/embeddings", "sim", "sim", Priority.BULK, clock.seconds)
    await way.files.put(JobFile.result_of(spec, 1).path, b"{}")
    assert await duty() == 0
    clock.seconds += DAY_S + 60
    assert await duty() == 1


async def test_the_result_of_a_run_that_lost_goes_and_the_named_one_stays(way: Road, duty: CleanUpFiles) -> None:
    way.provider.answer = LARGE
    job_id = await way.accepted("What is large?")
    lost = JobFile.result_of(await spec_of(way, job_id), 99).path
    await way.files.put(lost, b"{}")
    assert await duty() == 0  # whose it will be is not decided
    await way.work()
    assert await duty() == 1
    assert (await way.shown(job_id))["response"]["choices"][0]["message"]["content"] == LARGE


async def leave_requests(way: Road, count: int, seconds: float) -> None:
    """Leave requests of jobs that were created then, and of which there is no record."""
    left = JobSpec(f"job_{'z' * 26}", TEAM, "/v1/embeddings", "sim", "sim", Priority.BULK, seconds)
    for number in range(count):
        await way.files.put(JobFile.request_of(replace(left, id=f"{left.id}{number}")).path, b"{}")


async def test_a_firing_goes_through_all_days_while_it_has_time(
    way: Road, duty: CleanUpFiles, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clean_up_files, "AT_ONCE", 2)
    await way.accepted(LARGE)
    for days in (18, 17, 16):
        await leave_requests(way, 5, clock.seconds - days * DAY_S)
    assert await duty() == 15
    assert len(way.filed("requests")) == 1
    await leave_requests(way, 1, clock.seconds - 20 * DAY_S)
    assert await duty() == 1  # it begins anew


class Together(RedisJobStore):
    """Counts the readings that are under way at once."""

    under_way = 0
    most = 0

    async def get(self, team: str, job_id: str) -> Job | None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            return await super().get(team, job_id)
        finally:
            self.under_way -= 1


async def test_the_records_of_many_files_are_read_together(way: Road, clock: ManualClock) -> None:
    records = Together(way.api.redis)
    await leave_requests(way, 20, clock.seconds - 16 * DAY_S)
    assert await CleanUpFiles(FileShelf(records, way.files, KEPT_S), clock)() == 20
    assert records.most == 20


async def test_a_firing_takes_a_bounded_time_and_the_next_one_goes_on(
    way: Road, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clean_up_files, "AT_ONCE", 2)
    duty = CleanUpFiles(FileShelf(way.rig.parts.store, way.files, KEPT_S), clock, budget_s=0)
    kept = [await way.accepted(f"{LARGE} {number}") for number in range(3)]
    await leave_requests(way, 3, clock.seconds - 16 * DAY_S)
    assert [await duty() for _ in range(4)] == [2, 1, 0, 0]
    assert sorted(path.stem for path in way.filed("requests")) == kept


async def test_what_is_no_file_of_ours_is_left_alone(way: Road, duty: CleanUpFiles, clock: ManualClock) -> None:
    await way.accepted(LARGE)
    theirs = way.folder / "requests" / "2020-01-01" / "notes.txt"
    theirs.parent.mkdir()
    theirs.write_text("not ours")
    os.utime(theirs, (0, 0))
    clock.seconds += 365 * DAY_S
    assert await duty() == 0
    assert theirs.exists()


async def test_without_the_file_store_the_duty_says_so(way: Road, duty: CleanUpFiles) -> None:
    await way.accepted(LARGE)
    way.go_away()
    with pytest.raises(FilesUnavailable):
        await duty()


async def test_files_are_cleaned_up_where_there_is_a_file_store(way: Road) -> None:
    parts = duty_parts(
        way.rig, RedisJobUpkeep(way.api.redis), RedisDeliveries(way.api.redis), RedisProviderChanges(way.api.redis)
    )
    shelf = FileShelf(way.rig.parts.store, way.files, KEPT_S)
    with_files, without = timetable(parts, shelf), timetable(parts)
    assert {row.name for row in with_files} - {row.name for row in without} == {"clean up files"}
