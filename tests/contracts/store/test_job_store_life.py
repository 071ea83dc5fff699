"""A job's life against a model of it: whatever is done in whatever order, the store and the model agree."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from shared.adapters.redis.connection import connect
from shared.adapters.redis.job_store import RedisJobStore
from shared.adapters.redis.job_upkeep import RedisJobUpkeep
from shared.domain.job import Attempt, JobStatus
from shared.domain.job_lookup import JobFilter
from shared.domain.job_runs import ClaimResult
from tests.contracts.store.examples import ATTEMPT, FAILURE, SUCCESS, TEAM, a_batch, a_spec, new
from tests.contracts.store.servers import StoreServer

T = TypeVar("T")

_WORKERS = st.sampled_from(["w1", "w2", "w3"])
_OUTCOMES = st.sampled_from([SUCCESS, FAILURE])


@dataclass
class _Model:
    """What a job should be. ``grants``: the fences given so far, the valid one last."""

    status: JobStatus = JobStatus.ACCEPTED
    holder: str | None = None
    starts: int = 0
    lost: int = 0
    attempts: tuple[Attempt, ...] = ()
    grants: list[int] = field(default_factory=list)
    finished_with: int | None = None


class _Life(RuleBasedStateMachine):
    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.client = connect(self.url)
        self.store = RedisJobStore(self.client)
        self.upkeep = RedisJobUpkeep(self.client)
        self.ended: list[JobStatus] = []
        self.do(self.client.flushdb())
        self.do(self.store.open_batch(a_batch()))
        self.begin()

    def begin(self) -> None:
        self.spec = a_spec(batch_id="batch_1")
        self.model = _Model()
        self.do(self.store.accept([new(self.spec)]))

    def do(self, what: Awaitable[T]) -> T:
        async def wait() -> T:
            return await what

        return self.runner.run(wait())

    def teardown(self) -> None:
        self.do(self.client.aclose())
        self.runner.close()

    @precondition(lambda self: self.model.status.is_final)
    @rule()
    def turn_to_the_next_job(self) -> None:
        self.ended.append(self.model.status)
        self.begin()

    @rule()
    def accept_again(self) -> None:
        [accepted] = self.do(self.store.accept([new(self.spec)]))
        assert (accepted.job_id, accepted.status) == (self.spec.id, self.model.status)

    @rule()
    def mark_queued(self) -> None:
        self.do(self.store.mark_queued(TEAM, [self.spec]))
        if self.model.status is JobStatus.ACCEPTED:
            self.model.status = JobStatus.QUEUED

    @rule(worker=_WORKERS, instead_of=st.none() | _WORKERS)
    def claim(self, worker: str, instead_of: str | None) -> None:
        claim = self.do(self.store.claim(self.spec, worker, instead_of=instead_of))
        model = self.model
        if model.status.is_final:
            assert claim.result is ClaimResult.FINISHED
        elif model.status is JobStatus.RUNNING and model.holder != instead_of:
            assert (claim.result, claim.holder) == (ClaimResult.HELD, model.holder)
        else:
            model.lost += model.status is JobStatus.RUNNING
            model.status, model.holder, model.starts = JobStatus.RUNNING, worker, model.starts + 1
            assert (claim.result, claim.starts, claim.attempts) == (ClaimResult.GRANTED, model.starts, model.attempts)
            assert claim.lost == model.lost
            assert all(claim.fence > earlier for earlier in model.grants)
            model.grants.append(claim.fence)

    @rule(back=st.integers(0, 2), attempts=st.sampled_from([(), (ATTEMPT,), (ATTEMPT, ATTEMPT)]))
    def release(self, back: int, attempts: tuple[Attempt, ...]) -> None:
        model, fence = self.model, self.a_fence(back)
        released = self.do(self.store.release(self.spec, fence, attempts))
        if self.is_current(fence) and model.status is JobStatus.RUNNING:
            assert released
            model.status, model.holder = JobStatus.QUEUED, None
            model.starts -= 0 if attempts else 1
            model.attempts += attempts
        else:
            assert released == (self.is_current(fence) and model.status is JobStatus.QUEUED)

    @rule(back=st.integers(0, 2), outcome=_OUTCOMES, attempts=st.sampled_from([(), (ATTEMPT,), (ATTEMPT, ATTEMPT)]))
    def finish(self, back: int, outcome: object, attempts: tuple[Attempt, ...]) -> None:
        model, fence = self.model, self.a_fence(back)
        result = SUCCESS if outcome is SUCCESS else FAILURE
        done = self.do(self.store.finish(self.spec, fence, result, attempts))
        if self.is_current(fence) and model.status is JobStatus.RUNNING:
            assert done
            model.status, model.holder, model.finished_with = result.status, None, fence
            model.attempts += attempts
        else:
            assert bool(done) == (model.finished_with == fence)

    @precondition(lambda self: self.model.grants)  # else few jobs would live to see a worker
    @rule()
    def cancel(self) -> None:
        job = self.do(self.store.cancel(TEAM, self.spec.id))
        if not self.model.status.is_final:
            self.model.status = JobStatus.CANCELLED
        assert job is not None
        assert job.status is self.model.status

    @precondition(lambda self: self.model.grants)
    @rule(takes_running=st.booleans())
    def expire(self, takes_running: bool) -> None:  # noqa: FBT001 - hypothesis draws it
        expired = self.do(self.upkeep.expire(9, 0.0 if takes_running else 1e12))  # every example is long overdue
        model = self.model
        ends = not model.status.is_final and (takes_running or model.status is not JobStatus.RUNNING)
        assert [found.job.spec.id for found in expired] == [self.spec.id] * ends
        if ends:
            model.status = JobStatus.EXPIRED

    @invariant()
    def the_store_agrees(self) -> None:
        job = self.do(self.store.get(TEAM, self.spec.id))
        assert job is not None
        assert (job.status, job.attempts) == (self.model.status, self.model.attempts)
        assert (job.finished_at is not None) == (job.outcome is not None) == self.model.status.is_final
        assert self.do(self.store.list(TEAM, JobFilter(batch_id="batch_1"), None, 1)).jobs == (job,)

    @invariant()
    def the_batch_agrees(self) -> None:
        batch = self.do(self.store.batch(TEAM, "batch_1"))
        assert batch is not None
        statuses = [*self.ended, self.model.status]
        assert batch.total == len(statuses)
        assert (batch.succeeded, batch.failed, batch.cancelled, batch.expired) == (
            statuses.count(JobStatus.SUCCEEDED),
            statuses.count(JobStatus.FAILED),
            statuses.count(JobStatus.CANCELLED),
            statuses.count(JobStatus.EXPIRED),
        )

    @invariant()
    def only_an_accepted_job_is_stranded(self) -> None:
        stranded = self.do(self.store.stranded(0.0, 5))
        assert bool(stranded) == (self.model.status is JobStatus.ACCEPTED)

    def a_fence(self, back: int) -> int:
        return self.model.grants[-1 - back] if back < len(self.model.grants) else 999

    def is_current(self, fence: int) -> bool:
        return self.model.grants[-1:] == [fence]


@pytest.mark.parametrize("kind", ["server", "cluster"])
def test_a_jobs_life_is_as_the_model_says(kind: str, private_server: StoreServer, private_cluster: StoreServer) -> None:
    class Life(_Life):
        url = (
            f"redis://127.0.0.1:{private_server.port}/0"
            if kind == "server"
            else f"redis+cluster://127.0.0.1:{private_cluster.port}"
        )

    run_state_machine_as_test(Life, settings=settings(max_examples=25, stateful_step_count=25))
