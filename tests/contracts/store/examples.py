"""Examples of what the store keeps."""

from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Any, Final

from shared.domain.answer_cache import CachePolicy, CacheResult
from shared.domain.batches import Batch
from shared.domain.ids import new_id
from shared.domain.job import Attempt, Attribution, Job, JobError, JobSpec, JobStatus, Outcome
from shared.domain.job_intake import IdempotencyKey, NewJob
from shared.domain.job_runs import Claim, ClaimResult
from shared.domain.job_store import JobStore
from shared.domain.lanes import Priority
from shared.domain.usage import Usage

TEAM: Final = "acme"
CREATED_AT: Final = 1_700_000_000.0

_serial = count()

SUCCESS: Final = Outcome(
    JobStatus.SUCCEEDED,
    response={"id": "r-1", "choices": [{"message": {"content": "Grüezi\n{world}"}}], "n": 1.5, "none": None},
    usage=Usage(12, 34, 5),
    cost_usd=Decimal("0.000000150000000000007"),
    served_by="openai-eu",
    cache=CacheResult.MISS,
)
FAILURE: Final = Outcome(JobStatus.FAILED, error=JobError("It broke.", "provider_error", "overloaded", None))
ATTEMPT: Final = Attempt("openai-eu", 1_700_000_001.25, 1_700_000_002.5, "succeeded")
FAILED_ATTEMPT: Final = Attempt("openai-us", 1_700_000_001.25, 1_700_000_002.5, "overloaded", "two\nlines")


def a_spec(team: str = TEAM, **changes: Any) -> JobSpec:  # noqa: ANN401 - any field of the specification
    """Give a job that is newer than all given before."""
    moment = CREATED_AT + next(_serial) / 1000
    spec = JobSpec(
        id=new_id("job", moment),
        team=team,
        endpoint="/v1/chat/completions",
        model="gpt-4o",
        lane="gpt-4o-mini",
        priority=Priority.STANDARD,
        created_at=moment,
        deadline=moment + 60,
        cache=CachePolicy(ttl_s=12.5, namespace="v2"),
        attribution=Attribution(project="search", user="u-17"),
        metadata={"any": "string"},
    )
    return replace(spec, **changes)


def new(spec: JobSpec, *, key: str | None = None, digest: str = "d1", outcome: Outcome | None = None) -> NewJob:
    """Give a submission of a job."""
    idempotency = None if key is None else IdempotencyKey(key, digest)
    return NewJob(spec, b"message of " + spec.id.encode(), idempotency, outcome)


def a_batch(batch_id: str = "batch_1", team: str = TEAM) -> Batch:
    return Batch(batch_id, team, "/v1/chat/completions", created_at=CREATED_AT, is_open=True)


async def queued(store: JobStore, spec: JobSpec | None = None) -> JobSpec:
    """Have a job accepted and published."""
    spec = spec or a_spec()
    await store.accept([new(spec)])
    await store.mark_queued(spec.team, [spec])
    return spec


async def claimed(store: JobStore, spec: JobSpec, worker: str = "w1") -> Claim:
    """Have a worker get the job."""
    claim = await store.claim(spec, worker)
    assert claim.result is ClaimResult.GRANTED
    return claim


async def finished(store: JobStore, spec: JobSpec, outcome: Outcome = SUCCESS) -> None:
    """Have a worker run the job to its end."""
    claim = await claimed(store, spec)
    assert await store.finish(spec, claim.fence, outcome, (ATTEMPT,))


async def seen(store: JobStore, spec: JobSpec) -> Job:
    """Give the job as the store has it."""
    job = await store.get(spec.team, spec.id)
    assert job is not None
    return job
