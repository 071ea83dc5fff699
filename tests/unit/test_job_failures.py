"""What a client who waited is told of a job without an answer."""

from collections.abc import Iterator
from dataclasses import replace

from producer_api.job_failures import TABLE, failure_of
from shared.domain.job import Job, JobError, JobSpec, JobStatus, Outcome
from shared.domain.lanes import Priority
from shared.domain.provider_errors import ProviderError

SPEC = JobSpec("job_1", "red", "/v1/chat/completions", "m", "m", Priority.INTERACTIVE, 1.0)
RUNNING = Job(SPEC, JobStatus.RUNNING)


def failed(code: str) -> Job:
    outcome = Outcome(JobStatus.FAILED, error=JobError("As the provider put it.", "provider_error", code))
    return Job(SPEC, JobStatus.FAILED, outcome=outcome)


def kinds(kind: type[ProviderError] = ProviderError) -> Iterator[type[ProviderError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from kinds(below)


def test_every_error_of_a_provider_is_in_the_table() -> None:
    assert {kind.code for kind in kinds()} - TABLE.keys() == set()


def test_an_error_keeps_its_message_and_gets_the_status_of_its_code() -> None:
    failure = failure_of(failed("content_filter"), 1.0)
    assert (failure.status, failure.error["type"], failure.error["code"]) == (
        400,
        "invalid_request_error",
        "content_filter",
    )
    assert failure.error["message"] == "As the provider put it."


def test_a_code_that_is_new_here_is_the_providers_fault() -> None:
    failure = failure_of(failed("unheard_of"), 1.0)
    assert (failure.status, failure.error["code"]) == (502, "unheard_of")


def test_no_library_is_invited_to_send_a_call_again() -> None:
    jobs = [failed(code) for code in TABLE] + [RUNNING, replace(RUNNING, status=JobStatus.CANCELLED)]
    responses = [failure_of(job, 1.0).response({"x-forebay-job-id": "job_1"}) for job in jobs]
    assert {response.headers["x-should-retry"] for response in responses} == {"false"}
    assert {response.headers["x-forebay-job-id"] for response in responses} == {"job_1"}


def test_who_waited_too_long_is_told_where_the_answer_will_be() -> None:
    failure = failure_of(RUNNING, 90.0)
    assert (failure.status, failure.error["code"]) == (504, "timeout")
    assert "1m30s" in failure.error["message"]
    assert "GET /v1/jobs/job_1" in failure.error["message"]
