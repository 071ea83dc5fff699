"""What becomes of a job, in the words that its client reads."""

from dataclasses import replace

from shared.domain.events import JobFinished
from shared.domain.job import EXPIRED, JobError, JobStatus, Outcome
from shared.domain.job_runs import Claim
from shared.domain.provider_errors import ProviderError, StreamBroken
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


def hopeless_outcome(task: Task, claim: Claim, now: float) -> Outcome | None:
    """Give the outcome of a job that it makes no sense to run."""
    if claim.lost >= task.lane.retry.max_lost:
        return failed("worker_lost", f"{claim.lost} workers were lost while they ran this job")
    deadline = task.envelope.spec.deadline
    return EXPIRED if deadline is not None and deadline <= now else None


def failed_by(error: ProviderError) -> Outcome:
    """Give the outcome of a job whose last call failed so; what an answer used that broke off is paid for."""
    outcome = failed(error.code, error.message)
    spent = error.spent if isinstance(error, StreamBroken) else None
    if spent is None:
        return outcome
    return replace(outcome, usage=spent.usage, cost_usd=spent.cost_usd, served_by=spent.served_by)


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
