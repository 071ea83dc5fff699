"""What somebody who watches a job is told, and what of it again."""

from dataclasses import replace

from shared.domain.job import Attempt, Job, JobSpec, JobStatus, Outcome
from shared.domain.job_watch import MICROSECONDS, StatusChange, WatchedJob
from shared.domain.lanes import Priority

SPEC = JobSpec("job_1", "team", "/v1/chat/completions", "gpt-4o", "gpt-4o", Priority.STANDARD, 1.0)
QUEUED, RUNNING, AGAIN, RUNNING_AGAIN, DONE = (
    StatusChange(at * MICROSECONDS, status)
    for at, status in (
        (1, JobStatus.QUEUED),
        (2, JobStatus.RUNNING),
        (4, JobStatus.QUEUED),
        (6, JobStatus.RUNNING),
        (8, JobStatus.SUCCEEDED),
    )
)
FAILED = Attempt("a", 2.5, 3.5, "overloaded")
JOB = Job(
    SPEC, JobStatus.SUCCEEDED, (FAILED, Attempt("b", 6.5, 7.5, "succeeded")), 6.0, 8.0, Outcome(JobStatus.SUCCEEDED), 3
)
WATCHED = WatchedJob(JOB, (QUEUED, RUNNING, AGAIN, RUNNING_AGAIN, DONE))


def test_who_has_seen_nothing_is_told_everything() -> None:
    assert WATCHED.changes_after(None) == (QUEUED, RUNNING, AGAIN, RUNNING_AGAIN, DONE)


def test_who_comes_again_is_told_what_came_after_without_a_gap_or_a_repeat() -> None:
    for count, last in enumerate(WATCHED.changes, 1):
        assert WATCHED.changes_after(last.at_us) == WATCHED.changes[count:]


def test_what_was_seen_and_taken_back_makes_the_change_before_it_count_again() -> None:
    let_go = WatchedJob(replace(JOB, status=JobStatus.QUEUED), (QUEUED,))
    assert let_go.changes_after(RUNNING.at_us) == (QUEUED,)
    taken_again = replace(let_go, changes=(QUEUED, RUNNING_AGAIN))
    assert taken_again.changes_after(RUNNING.at_us) == (RUNNING_AGAIN,)


def test_a_job_that_is_not_published_yet_has_nothing_to_tell() -> None:
    assert WatchedJob(replace(JOB, status=JobStatus.ACCEPTED), ()).changes_after(None) == ()
    assert WatchedJob(replace(JOB, status=JobStatus.ACCEPTED), ()).changes_after(5) == ()


def test_a_job_is_shown_as_it_was_at_each_change() -> None:
    shown = [WATCHED.as_of(change) for change in WATCHED.changes]
    assert [job.status for job in shown] == [change.status for change in WATCHED.changes]
    assert [len(job.attempts) for job in shown] == [0, 0, 1, 1, 2]
    assert [job.started_at for job in shown] == [None, None, None, 6.0, 6.0]
    assert [job.outcome is None for job in shown] == [True, True, True, True, False]
    assert [job.finished_at for job in shown] == [None, None, None, None, 8.0]
    assert shown[-1] == JOB
