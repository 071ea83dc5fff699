"""What clients see of jobs and batches. The documented answers and the rendered ones are the same."""

from dataclasses import replace
from decimal import Decimal

import pytest

from producer_api.schemas import BatchObject, JobObject
from shared.domain.answer_cache import CacheMode, CachePolicy, CacheResult
from shared.domain.batches import Batch
from shared.domain.callbacks import Callback, ReplyReport, ReplyStatus
from shared.domain.job import Attempt, Attribution, Job, JobError, JobSpec, JobStatus, Outcome
from shared.domain.lanes import Priority
from shared.domain.usage import Usage
from shared.wire.batch_object import render_batch
from shared.wire.job_object import render_job
from shared.wire.moments import format_moment, parse_moment

SPEC = JobSpec(
    id="job_01k9zzzzzzzzzzzzzzzzzzzzzz",
    team="red",
    endpoint="/v1/chat/completions",
    model="gpt-4",
    lane="gpt-4o-mini",
    priority=Priority.BULK,
    created_at=1_700_000_000.25,
    batch_id="batch_01k9zzzzzzzzzzzzzzzzzzzzzz",
    attribution=Attribution(project="search"),
    metadata={"a": "b"},
)


def test_a_finished_job_shows_everything() -> None:
    outcome = Outcome(
        status=JobStatus.SUCCEEDED,
        response={"id": "x", "choices": []},
        usage=Usage(10, 5, cached_input_tokens=4),
        cost_usd=Decimal("0.0000045"),
        served_by="openai-1",
        cache=CacheResult.MISS,
    )
    attempts = (Attempt("openai-1", 1_700_000_001.0, 1_700_000_002.5, "succeeded"),)
    job = Job(SPEC, JobStatus.SUCCEEDED, attempts, 1_700_000_001.0, 1_700_000_002.5, outcome)

    shown = render_job(job)

    JobObject.model_validate(shown)
    assert shown == {
        "id": SPEC.id,
        "object": "job",
        "status": "succeeded",
        "priority": "bulk",
        "batch_id": SPEC.batch_id,
        "created_at": "2023-11-14T22:13:20.250Z",
        "started_at": "2023-11-14T22:13:21.000Z",
        "finished_at": "2023-11-14T22:13:22.500Z",
        "estimated_start_at": None,
        "attempts": [
            {
                "deployment": "openai-1",
                "started": "2023-11-14T22:13:21.000Z",
                "ended": "2023-11-14T22:13:22.500Z",
                "outcome": "succeeded",
            }
        ],
        "cache": "miss",
        "model": "gpt-4",
        "served_by": "openai-1",
        "usage": {
            "input_tokens": 10,
            "input_tokens_details": {"cached_tokens": 4},
            "output_tokens": 5,
            "total_tokens": 15,
        },
        "cost_usd": 0.0000045,
        "response": {"id": "x", "choices": []},
        "error": None,
        "metadata": {"a": "b"},
        "attribution": {"project": "search", "feature": None, "user": None},
        "callback": None,
    }


def test_a_job_tells_who_is_told_of_its_end_and_what_became_of_the_reply() -> None:
    spec = replace(SPEC, callback=Callback(reply_to="forebay.reply.q", correlation_id="c-1"))
    report = ReplyReport(ReplyStatus.UNDELIVERABLE, 1_700_000_003.0, "No queue.")
    told = [render_job(Job(spec, JobStatus.SUCCEEDED, reply=reply)) for reply in (None, report)]
    for shown in told:
        JobObject.model_validate(shown)
    assert told[0]["callback"] == {
        "webhook": None,
        "reply_to": "forebay.reply.q",
        "correlation_id": "c-1",
        "reply": None,
    }
    assert told[1]["callback"]["reply"] == {
        "status": "undeliverable",
        "message": "No queue.",
        "at": "2023-11-14T22:13:23.000Z",
    }


def test_a_failed_job_shows_its_error_in_the_shape_of_errors() -> None:
    error = JobError("The provider found the request invalid.", "provider_error", "invalid_request")
    job = Job(SPEC, JobStatus.FAILED, finished_at=1_700_000_002.0, outcome=Outcome(JobStatus.FAILED, error=error))
    shown = render_job(job)
    JobObject.model_validate(shown)
    assert shown["error"] == {"message": error.message, "type": error.type, "param": None, "code": error.code}
    assert (shown["response"], shown["usage"], shown["cost_usd"]) == (None, None, None)


def test_a_job_whose_publish_is_not_confirmed_yet_is_shown_as_queued() -> None:
    assert render_job(Job(SPEC, JobStatus.ACCEPTED))["status"] == "queued"


def test_a_scheduled_job_shows_when_it_may_start() -> None:
    job = Job(replace(SPEC, run_at=1_700_000_100.0), JobStatus.SCHEDULED)
    assert render_job(job)["estimated_start_at"] == "2023-11-14T22:15:00.000Z"


@pytest.mark.parametrize(
    ("estimate", "run_at", "shown"),
    [(100.0, None, 100.0), (100.0, 50.0, 100.0), (100.0, 200.0, 200.0), (None, 50.0, 50.0), (None, None, None)],
)
def test_a_job_shows_when_it_is_expected_to_start_until_it_has(
    estimate: float | None, run_at: float | None, shown: float | None
) -> None:
    job = Job(replace(SPEC, estimated_start_at=estimate, run_at=run_at), JobStatus.QUEUED)
    assert render_job(job)["estimated_start_at"] == (None if shown is None else format_moment(shown))
    for later in (replace(job, started_at=150.0), replace(job, status=JobStatus.CANCELLED)):
        assert render_job(later)["estimated_start_at"] is None


def test_a_job_that_does_without_the_cache_says_so_from_the_start() -> None:
    job = Job(replace(SPEC, cache=CachePolicy(CacheMode.OFF)), JobStatus.QUEUED)
    assert render_job(job)["cache"] == "off"
    assert render_job(Job(SPEC, JobStatus.QUEUED))["cache"] is None


@pytest.mark.parametrize(
    ("batch", "status"),
    [
        (Batch("b", "red", None, 1.0, is_open=True), "validating"),
        (Batch("b", "red", None, 1.0, is_open=True, total=2, succeeded=2), "in_progress"),
        (Batch("b", "red", None, 1.0, is_open=False, total=2, succeeded=1), "in_progress"),
        (Batch("b", "red", None, 1.0, is_open=False, total=2, succeeded=1, failed=1), "completed"),
        (Batch("b", "red", None, 1.0, is_open=False, total=2, cancelled=1, expired=1), "completed"),
        (Batch("b", "red", None, 1.0, is_open=False, total=2, cancelled=2), "cancelled"),
        (Batch("b", "red", None, 1.0, is_open=False, total=2, expired=2), "expired"),
        (Batch("b", "red", None, 1.0, is_open=False), "failed"),
    ],
)
def test_a_batch_stands_where_its_counts_say(batch: Batch, status: str) -> None:
    shown = render_batch(replace(batch, finished_at=9.5))
    BatchObject.model_validate(shown)
    assert shown["status"] == status
    ended = [shown[f"{word}_at"] for word in ("completed", "failed", "expired", "cancelled")]
    assert sum(moment == 9 for moment in ended) == (status not in {"validating", "in_progress"})


def test_a_batch_counts_as_failed_whatever_did_not_succeed() -> None:
    batch = Batch("b", "red", None, 1.0, is_open=False, total=10, succeeded=4, failed=3, cancelled=2, expired=1)
    assert render_batch(batch)["request_counts"] == {"total": 10, "completed": 4, "failed": 6}


def test_a_moment_survives_its_journey() -> None:
    assert parse_moment(format_moment(1_700_000_000.25)) == 1_700_000_000.25
