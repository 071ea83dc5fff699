"""The one table from how a job ended to what a client who waits for its answer is told, as OpenAI would tell it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Response

from producer_api.endpoints.answers import json_response
from producer_api.error_responses import Shown
from shared.domain import provider_errors as errors
from shared.domain.durations import format_duration
from shared.domain.job import Job, JobError, JobStatus

_INVALID: Final = "invalid_request_error"
_SERVER: Final = "server_error"

TABLE: Final[Mapping[str, Shown]] = {
    errors.InvalidRequest.code: Shown(400, _INVALID, "invalid_request"),
    errors.ContextWindowExceeded.code: Shown(400, _INVALID, "context_length_exceeded"),
    errors.ContentRefused.code: Shown(400, _INVALID, "content_filter"),
    errors.RateLimited.code: Shown(429, "rate_limit_error", "rate_limit_exceeded"),
    errors.QuotaExhausted.code: Shown(429, "insufficient_quota", "insufficient_quota"),
    errors.Overloaded.code: Shown(503, _SERVER, "overloaded"),
    errors.TimedOut.code: Shown(504, _SERVER, "timed_out"),
    errors.ConnectionFailed.code: Shown(502, _SERVER, "connection_failed"),
    errors.AuthenticationFailed.code: Shown(502, _SERVER, "provider_authentication_failed"),
    errors.UnexpectedAnswer.code: Shown(502, _SERVER, "unexpected_answer"),
    errors.StreamBroken.code: Shown(502, _SERVER, "stream_broken"),
    errors.NoAttemptsLeft.code: Shown(503, _SERVER, "no_attempts_left"),
    errors.ProviderError.code: Shown(502, _SERVER, "provider_error"),
    errors.RequestLost.code: Shown(500, _SERVER, "request_lost"),
    "worker_lost": Shown(500, _SERVER, "worker_lost"),
    "deadline_exceeded": Shown(504, _SERVER, "deadline_exceeded"),
}
"""By the code in the job's ``error``. One that is not here is a provider's (502)."""

_CANCELLED: Final = Shown(409, _INVALID, "cancelled")
_GOES_ON: Final = Shown(504, _SERVER, "timeout")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer. ``error``: what stands under ``error``."""

    status: int
    error: dict[str, Any]

    @property
    def body(self) -> dict[str, Any]:
        """The whole error, of a response or of an event."""
        return {"error": self.error}

    def response(self, headers: Mapping[str, str]) -> Response:
        """Give the response. Nobody's library shall send it again by itself: what could be tried again, was."""
        return json_response(self.body, self.status, {**headers, "x-should-retry": "false"})


def failure_of(job: Job, waited_s: float) -> Failure:
    """Give why a job has no answer, for a client that waited for it that many seconds."""
    if not job.status.is_final:
        return goes_on(job.spec.id, waited_s)
    if job.status is JobStatus.CANCELLED:
        return _failure(_CANCELLED, f"The job `{job.spec.id}` was cancelled.")
    error = (job.outcome and job.outcome.error) or JobError("The job failed.", "", "")
    return _failure(TABLE.get(error.code, Shown(502, _SERVER, error.code)), error.message, error.param)


def goes_on(job_id: str, waited_s: float) -> Failure:
    """Give the failure of a call whose client waits no longer than those seconds, while its job goes on."""
    message = (
        f"The job `{job_id}` did not finish within {format_duration(waited_s)} and goes on; "
        f"`GET /v1/jobs/{job_id}` gives its answer."
    )
    return _failure(_GOES_ON, message)


def broken_off(job: Job, error: errors.StreamBroken, *, was_given_up: bool) -> Failure:
    """Give the failure of a stream that broke off although its job did not fail; it was given up, or goes on."""
    where = "" if was_given_up else f" `GET /v1/jobs/{job.spec.id}` gives the whole answer."
    return _failure(TABLE[error.code], f"{error.message}{where}")


def unreadable(error: errors.UnexpectedAnswer) -> Failure:
    """Give the failure of a stream that cannot be made of its job's answer."""
    return _failure(TABLE[error.code], error.message)


def _failure(shown: Shown, message: str, param: str | None = None) -> Failure:
    return Failure(shown.status, {"message": message, "type": shown.type, "param": param, "code": shown.code})
