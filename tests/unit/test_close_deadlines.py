"""When a waiting job's deadline is close."""

import pytest

from shared.domain.job import Job, JobStatus
from shared.domain.job_upkeep import is_close
from tests.contracts.store.examples import CREATED_AT, a_spec

DAY = 86_400.0


def job(within_s: float | None, status: JobStatus = JobStatus.QUEUED, run_in_s: float | None = None) -> Job:
    deadline = None if within_s is None else CREATED_AT + within_s
    run_at = None if run_in_s is None else CREATED_AT + run_in_s
    return Job(a_spec(created_at=CREATED_AT, deadline=deadline, run_at=run_at), status)


@pytest.mark.parametrize(
    ("within_s", "passed_s", "close"),
    [(100, 80, []), (100, 91, [100]), (100, 150, [100]), (DAY, DAY - 3700, []), (DAY, DAY - 3500, [DAY])],
)
def test_it_is_close_when_a_tenth_of_the_time_is_left_and_an_hour_at_most(
    within_s: float, passed_s: float, close: list[float]
) -> None:
    assert [within_s for _ in (1,) if is_close(job(within_s), CREATED_AT + passed_s)] == close


def test_the_time_of_a_scheduled_job_begins_when_it_may_run() -> None:
    assert not is_close(job(1000, JobStatus.SCHEDULED, run_in_s=900), CREATED_AT + 950)
    assert is_close(job(1000, JobStatus.SCHEDULED, run_in_s=900), CREATED_AT + 995)


@pytest.mark.parametrize("status", [JobStatus.RUNNING, JobStatus.SUCCEEDED, JobStatus.CANCELLED])
def test_what_runs_or_has_ended_waits_for_nothing(status: JobStatus) -> None:
    assert not is_close(job(100, status), CREATED_AT + 99)


def test_a_job_without_a_deadline_is_never_late() -> None:
    assert not is_close(job(None), CREATED_AT + 400 * DAY)
