"""What becomes of a job, in the words that its client reads."""

from shared.domain.events import JobFinished
from shared.domain.job import JobError, JobStatus, Outcome
from workers.task import Answer, Task


def succeeded(answer: Answer) -> Outcome:
    """Give the outcome of a job that was answered."""
    return Outcome(
        JobStatus.SUCCEEDED,
        response=answer.response,
        usage=answer.usage,
        cost_usd=answer.cost_usd,
        served_by=answer.served_by,
        cache=answer.cache,
    )


def failed(code: str, message: str) -> Outcome:
    """Give the outcome of a job that nobody could answer."""
    return Outcome(JobStatus.FAILED, error=JobError(message, "provider_error", code))


def finished(task: Task, outcome: Outcome, now: float) -> JobFinished:
    """Give the announcement of a job's end."""
    spec = task.envelope.spec
    started_at = task.attempts[0].started_at if task.attempts else now
    return JobFinished(
        job_id=spec.id,
        team=spec.team,
        lane=spec.lane,
        status=outcome.status,
        cache=outcome.cache,
        waited_s=max(0.0, started_at - (spec.run_at or spec.created_at)),
        attempts=len(task.all_attempts),
    )
