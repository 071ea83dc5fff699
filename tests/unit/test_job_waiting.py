"""Where a job waits, and until when."""

from dataclasses import replace

from shared.domain.job import JobSpec
from shared.domain.lanes import DeferrableWindow, JobClass, Priority, QueueName, overdue_queue

WINDOWS = (DeferrableWindow.of("1h"), DeferrableWindow.of("4h"))
NOW = 1_700_000_000.0
HOUR = 3_600.0
STANDARD = QueueName("gpt-4o", JobClass("standard"))

STANDARD_JOB = JobSpec("job_1", "team", "/v1/chat/completions", "gpt-4o", "gpt-4o", Priority.STANDARD, NOW)
DEFERRABLE_JOB = replace(STANDARD_JOB, priority=Priority.DEFERRABLE)


def deferrable(window: str) -> QueueName:
    return QueueName("gpt-4o", JobClass(f"deferrable.{window}"))


def test_a_job_is_due_at_its_deadline() -> None:
    assert STANDARD_JOB.due_at(WINDOWS) is None
    assert replace(STANDARD_JOB, deadline=NOW + 5).due_at(WINDOWS) == NOW + 5
    assert replace(DEFERRABLE_JOB, deadline=NOW + 5).due_at(WINDOWS) == NOW + 5


def test_deferrable_work_without_a_deadline_is_due_when_the_longest_window_is_over() -> None:
    assert DEFERRABLE_JOB.due_at(WINDOWS) == NOW + 4 * HOUR
    assert replace(DEFERRABLE_JOB, run_at=NOW + 100).due_at(WINDOWS) == NOW + 100 + 4 * HOUR
    waiting = [DEFERRABLE_JOB.queue(NOW + hours * HOUR, WINDOWS) for hours in (0, 1, 3.5)]
    assert waiting == [deferrable("4h"), deferrable("1h"), STANDARD]


def test_a_wait_beyond_the_longest_window_is_made_of_several() -> None:
    patient = replace(DEFERRABLE_JOB, deadline=NOW + 9 * HOUR)
    now, waits = NOW, list[QueueName]()
    while patient.has_time_for_another_window(STANDARD, now, WINDOWS):
        queue = patient.queue(now, WINDOWS)
        assert queue.job_class.window is not None
        waits.append(queue)
        now += queue.job_class.window.patience_s
    assert waits == [deferrable("4h"), deferrable("4h"), deferrable("1h")]
    assert patient.deadline is not None
    assert 0 < patient.deadline - now < HOUR


def test_only_deferrable_work_whose_window_is_over_waits_in_another() -> None:
    patient = replace(DEFERRABLE_JOB, deadline=NOW + 9 * HOUR)
    assert not patient.has_time_for_another_window(deferrable("4h"), NOW, WINDOWS)
    assert not replace(patient, priority=Priority.BULK).has_time_for_another_window(STANDARD, NOW, WINDOWS)
    assert not replace(patient, deadline=NOW + 600).has_time_for_another_window(STANDARD, NOW, WINDOWS)


def test_a_job_that_comes_again_waits_where_it_was_unless_its_window_would_outlast_its_deadline() -> None:
    surplus = QueueName("gpt-4o", JobClass("standard.surplus"))
    assert STANDARD_JOB.queue_again(surplus, NOW, WINDOWS) == surplus
    late = replace(DEFERRABLE_JOB, deadline=NOW + 2 * HOUR)
    assert late.queue_again(deferrable("4h"), NOW, WINDOWS) == deferrable("1h")
    assert late.queue_again(deferrable("4h"), NOW + 1.5 * HOUR, WINDOWS) == overdue_queue("gpt-4o")
