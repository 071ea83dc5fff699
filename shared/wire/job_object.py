"""A job as a client sees it."""

from typing import Any

from shared.domain.answer_cache import CacheMode, CacheResult
from shared.domain.job import Attempt, Job, JobError, JobStatus, Outcome
from shared.domain.usage import Usage
from shared.wire.moments import format_moment, format_optional

_UNFINISHED = Outcome(status=JobStatus.QUEUED)


def render_job(job: Job) -> dict[str, Any]:
    """Give the job object of the contract. Times are RFC 3339 in UTC; ``cost_usd`` is a number, null if not known."""
    spec, outcome = job.spec, job.outcome or _UNFINISHED
    return {
        "id": spec.id,
        "object": "job",
        "status": job.status.shown.value,
        "priority": spec.priority.value,
        "batch_id": spec.batch_id,
        "created_at": format_moment(spec.created_at),
        "started_at": format_optional(job.started_at),
        "finished_at": format_optional(job.finished_at),
        "estimated_start_at": format_optional(_expected_start(job)),
        "attempts": [render_attempt(attempt) for attempt in job.attempts],
        "cache": _render_cache(job, outcome),
        "model": spec.model,
        "served_by": outcome.served_by,
        "usage": None if outcome.usage is None else render_usage(outcome.usage),
        "cost_usd": None if outcome.cost_usd is None else float(outcome.cost_usd),
        "response": outcome.response,
        "error": None if outcome.error is None else render_error(outcome.error),
        "metadata": dict(spec.metadata),
        "attribution": {
            "project": spec.attribution.project,
            "feature": spec.attribution.feature,
            "user": spec.attribution.user,
        },
        "callback": _render_callback(job),
    }


def render_usage(usage: Usage) -> dict[str, Any]:
    """Give token counts under the names that OpenAI's batches and responses use."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_input_tokens},
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }


def render_error(error: JobError) -> dict[str, Any]:
    """Give what stands in ``error``, in OpenAI's shape."""
    return {"message": error.message, "type": error.type, "param": error.param, "code": error.code}


def _expected_start(job: Job) -> float | None:
    """Give when a job that never started is expected to; None: nobody can tell."""
    if job.started_at is not None or job.status.is_final:
        return None
    moments = [moment for moment in (job.spec.estimated_start_at, job.spec.run_at) if moment is not None]
    return max(moments) if moments else None


def render_attempt(attempt: Attempt) -> dict[str, Any]:
    """Give one call of one deployment; what the provider said is the job's owner's alone."""
    return {
        "deployment": attempt.deployment,
        "started": format_moment(attempt.started_at),
        "ended": format_moment(attempt.ended_at),
        "outcome": attempt.outcome,
    }


def _render_callback(job: Job) -> dict[str, Any] | None:
    callback, reply = job.spec.callback, job.reply
    if not callback.mailboxes:
        return None
    return {
        "webhook": callback.webhook,
        "reply_to": callback.reply_to,
        "correlation_id": callback.correlation_id,
        "reply": None
        if reply is None
        else {"status": reply.status.value, "message": reply.message, "at": format_moment(reply.at)},
    }


def _render_cache(job: Job, outcome: Outcome) -> str | None:
    if outcome.cache is not None:
        return outcome.cache.value
    return CacheResult.OFF.value if job.spec.cache.mode is CacheMode.OFF else None
