"""From one arrival to one outcome: the only place that acknowledges a message.

The order is the promise. The result is stored, then whoever must know is told, then the message is
acknowledged; all of it can be repeated. A crash anywhere in between ends in a redelivery, which
finds what is done and does the rest.
"""

import asyncio
import random
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from shared.domain.answer_streams import AnswerStreams, AnswerWriter
from shared.domain.catalog import Lane
from shared.domain.clock import Clock
from shared.domain.errors import MalformedMessage, StoreUnavailable
from shared.domain.events import ClaimLost, Emit, JobRetried, MessageBuried
from shared.domain.job import EXPIRED, LONGEST_WAIT_S, Envelope, JobSpec, JobStatus, Outcome
from shared.domain.job_runs import Claim, ClaimResult, Finish
from shared.domain.job_store import JobStore
from shared.domain.lanes import DEFERRABLE_WINDOWS, DeferrableWindow, JobClass
from shared.domain.notices import Announcer
from shared.domain.retry import GiveUp
from shared.domain.retry_budget import RetryBudget
from shared.domain.routing import RoutingWish
from shared.domain.work_queue import Delivery, Message, WorkQueue
from shared.domain.worker_leases import WorkerLeases
from shared.wire.envelope import decode
from workers.answer_stream import stream_of
from workers.claims import Claims
from workers.leftovers import Leftovers, passed_on
from workers.outcomes import failed_by, finished, hopeless_outcome, succeeded
from workers.quota_gate import LaneBlocked
from workers.rests import LONGEST_REST_S
from workers.settlement import Settlement
from workers.stages.capacity import NothingIdle
from workers.stages.request_file import RequestAway
from workers.task import Answer, NobodyAnswered, Proceed, Task

HELD_RECHECK_S: Final = 1.0
"""Seconds after which a job that another worker holds is looked at again."""

SHORTEST_REST_S: Final = 1.0
"""Seconds that nothing let through rests at least: less would spin."""

STORE_RETRY_S: Final = 0.25
"""Seconds between tries to store a result while the store is away."""


@dataclass(frozen=True, slots=True)
class ExecutorParts:
    """What an executor works with. ``worker``: the name it claims under; ``windows``: the shortest first."""

    worker: str
    store: JobStore
    leases: WorkerLeases
    queue: WorkQueue
    clock: Clock
    emit: Emit
    settlement: Settlement
    announcer: Announcer
    answer_streams: AnswerStreams
    windows: tuple[DeferrableWindow, ...] = DEFERRABLE_WINDOWS


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an arrival says about its lane.

    rest_s: nothing is to be had for that many seconds: of the lane, or only for ``job_class``, if that is given. The
        delivery is to be given back then, once the rest has begun: else it comes straight back.
    """

    rest_s: float = 0.0
    job_class: JobClass | None = None


class CallBroken(Exception):
    """A call ended as if somebody had cancelled it, and nobody had."""


class Executor:
    """Handles arrivals, any number at a time."""

    def __init__(self, parts: ExecutorParts, pipeline: Proceed) -> None:
        """``pipeline``: from a task to an answer, as ``workers.pipeline.assemble`` makes it."""
        self._parts = parts
        self._pipeline = pipeline
        self._in_hand: dict[str, Envelope] = {}
        self._calls: dict[str, asyncio.Task[Answer]] = {}
        self._claims = Claims(parts.worker, parts.store, parts.leases)
        self._leftovers = Leftovers(parts.store, parts.queue, parts.settlement, parts.announcer, parts.emit)
        self._budgets: defaultdict[str, RetryBudget] = defaultdict(RetryBudget)

    @property
    def in_hand(self) -> tuple[Envelope, ...]:
        """The jobs that this executor asks for, or has claimed, and has not ended yet."""
        return tuple(self._in_hand.values())

    def abort(self, job_id: str) -> None:
        """Break off the call of a job that somebody else has ended, if it is under way here."""
        call = self._calls.get(job_id)
        if call is not None:
            call.cancel()

    async def execute(self, delivery: Delivery, lane: Lane) -> Verdict:
        """Handle one arrival in ``lane`` to its end; only if the verdict asks for a rest it is still to be given back.

        Raises:
            BrokerUnavailable, StoreUnavailable: the server went away in the middle; the delivery is not settled.
            asyncio.CancelledError: the worker is told to stop; the job was given back if the servers allowed it.
        """
        try:
            envelope = decode(delivery.message.body)
        except MalformedMessage as error:
            return await self._bury_unread(delivery, error)
        spec = envelope.spec
        now = self._parts.clock.now()
        if spec.run_at is not None and spec.run_at > now:
            return await self._wait_until(spec.run_at, delivery, spec)
        if spec.has_time_for_another_window(delivery.queue, now, self._parts.windows):  # long waits hop
            return await self._wait_until(now, delivery, spec)
        if spec.id in self._in_hand:  # a message whose confirmation was lost comes twice, side by side
            return await self._pass_on(delivery, spec)
        self._in_hand[spec.id] = envelope
        try:
            async with stream_of(spec, self._parts.answer_streams) as stream:
                return await self._claim_and_run(delivery, envelope, lane, stream)
        finally:
            del self._in_hand[spec.id]

    async def _claim_and_run(self, delivery: Delivery, envelope: Envelope, lane: Lane, stream: AnswerWriter) -> Verdict:
        claim = await self._claims.claim(envelope.spec)
        if claim.result is ClaimResult.HELD:
            return await self._pass_on(delivery, envelope.spec)
        if claim.result is ClaimResult.FINISHED:
            await stream.close()
            await self._leftovers.look_for(delivery, envelope.spec)
            await delivery.ack()
            return Verdict()
        job_class, earlier = delivery.queue.job_class, claim.attempts
        return await self._run(
            delivery, Task(envelope, lane, job_class, claim.fence, earlier=earlier, stream=stream), claim
        )

    async def _run(self, delivery: Delivery, task: Task, claim: Claim) -> Verdict:
        spec = task.envelope.spec
        hopeless = hopeless_outcome(task, claim, self._parts.clock.now())
        if hopeless is not None:
            return await self._end(delivery, task, claim, hopeless)
        if not claim.attempts:
            self._budgets[task.lane.name].pay_in()
        call = asyncio.ensure_future(self._pipeline(task))
        self._calls[spec.id] = call
        try:
            answer = await self._within_deadline(call, spec.deadline)
        except NobodyAnswered as failure:
            return await self._after_failure(delivery, task, claim, failure)
        except (LaneBlocked, NothingIdle) as blocked:
            return await self._after_block(delivery, task, claim, blocked)
        except TimeoutError:
            return await self._end(delivery, task, claim, EXPIRED)
        except asyncio.CancelledError:
            if _is_being_stopped():
                await asyncio.shield(self._give_back(delivery, task, claim))
                raise
            return await self._after_broken_call(delivery, task)
        except StoreUnavailable:
            await self._claims.release(task.envelope.spec, claim, task.attempts)
            raise
        finally:
            del self._calls[spec.id]
        return await self._end(delivery, task, claim, succeeded(answer))

    async def _within_deadline(self, call: asyncio.Task[Answer], deadline: float | None) -> Answer:
        async with asyncio.timeout(None if deadline is None else deadline - self._parts.clock.now()):
            return await call

    async def _after_broken_call(self, delivery: Delivery, task: Task) -> Verdict:
        """The job was ended by another, and is final already; if it is not, a library has cancelled its own call."""
        spec = task.envelope.spec
        job = await self._parts.store.get(spec.team, spec.id)
        if job is not None and not job.status.is_final:
            raise CallBroken
        await self._parts.store.note_broken(spec, task.attempts)
        await task.stream.close()
        await delivery.ack()
        return Verdict()

    async def _after_failure(self, delivery: Delivery, task: Task, claim: Claim, failure: NobodyAnswered) -> Verdict:
        error, now = failure.error, self._parts.clock.now()
        decision = task.lane.retry.after_failure(
            error,
            task.all_attempts,
            may_come_back=failure.may_come_back,
            now=now,
            deadline=task.envelope.spec.deadline,
            uniform=random.uniform,
        )
        if isinstance(decision, GiveUp):
            return await self._end(delivery, task, claim, failed_by(error))
        affordable_s = self._budgets[task.lane.name].delay_s(self._parts.clock.monotonic())
        delay_s = max(decision.delay_s, min(affordable_s, LONGEST_REST_S))
        deadline = task.envelope.spec.deadline
        in_time = deadline is None or now + delay_s < deadline
        await self._retry(delivery, task, claim, delay_s if in_time else decision.delay_s)
        return Verdict()

    async def _after_block(
        self, delivery: Delivery, task: Task, claim: Claim, blocked: LaneBlocked | NothingIdle
    ) -> Verdict:
        """Nothing was let through: the lane rests, or the class, unless that is so for this job more than for others."""
        spec = task.envelope.spec
        await self._claims.release(task.envelope.spec, claim, task.attempts)
        seconds = min(LONGEST_REST_S, max(SHORTEST_REST_S, blocked.seconds))
        if isinstance(blocked, NothingIdle):
            return Verdict(seconds, blocked.job_class)
        # Others may go where this one may not, or no more.
        if isinstance(blocked, RequestAway) or spec.routing != RoutingWish() or claim.attempts:
            return await self._come_back_after(seconds, delivery, spec)
        return Verdict(seconds)

    async def _retry(self, delivery: Delivery, task: Task, claim: Claim, delay_s: float) -> None:
        spec = task.envelope.spec
        if await self._claims.release(task.envelope.spec, claim, task.attempts):
            await self._publish_again(delay_s, delivery, spec)
            self._parts.emit(JobRetried(spec.id, spec.lane, task.attempts[-1].outcome, delay_s))
        else:
            self._parts.emit(ClaimLost(spec.id, claim.fence))
        await delivery.ack()

    async def _end(self, delivery: Delivery, task: Task, claim: Claim, outcome: Outcome) -> Verdict:
        spec = task.envelope.spec
        finish = await self._store_result(task, claim, outcome)
        if not finish.is_ours:
            self._parts.emit(ClaimLost(spec.id, claim.fence))
            await delivery.ack()
            return Verdict()
        await task.stream.close()
        await self._parts.settlement.settle(spec, outcome)
        if outcome.status is JobStatus.FAILED:
            await self._leftovers.bury(delivery, outcome)
        await self._parts.announcer.tell_end(spec, finish.notices)
        await delivery.ack()
        self._parts.emit(finished(task, outcome, self._parts.clock.now()))
        return Verdict()

    async def _store_result(self, task: Task, claim: Claim, outcome: Outcome) -> Finish:
        """Store an outcome that was paid for, however long the store is away; maybe it is another's job by now."""
        while True:
            try:
                return await self._parts.store.finish(task.envelope.spec, claim.fence, outcome, task.attempts)
            except StoreUnavailable:
                await self._parts.clock.sleep(STORE_RETRY_S)

    async def _wait_until(self, moment: float, delivery: Delivery, spec: JobSpec) -> Verdict:
        job = await self._parts.store.get(spec.team, spec.id)
        if job is not None and job.status.is_final:  # cancelled; at its time the record may be gone, and it would run
            await delivery.ack()
            return Verdict()
        return await self._come_back_after(moment - self._parts.clock.now(), delivery, spec)

    async def _come_back_after(
        self, delay_s: float, delivery: Delivery, spec: JobSpec, message: Message | None = None
    ) -> Verdict:
        await self._publish_again(delay_s, delivery, spec, message)
        await delivery.ack()
        return Verdict()

    async def _pass_on(self, delivery: Delivery, spec: JobSpec) -> Verdict:
        return await self._come_back_after(HELD_RECHECK_S, delivery, spec, passed_on(delivery.message))

    async def _publish_again(
        self, delay_s: float, delivery: Delivery, spec: JobSpec, message: Message | None = None
    ) -> None:
        queue = spec.queue_again(delivery.queue, self._parts.clock.now() + delay_s, self._parts.windows)
        await self._parts.queue.publish(queue, message or delivery.message, min(delay_s, LONGEST_WAIT_S))

    async def _give_back(self, delivery: Delivery, task: Task, claim: Claim) -> None:
        await self._claims.release(task.envelope.spec, claim, task.failed_attempts)
        await delivery.give_back()

    async def _bury_unread(self, delivery: Delivery, error: MalformedMessage) -> Verdict:
        await self._parts.queue.bury(delivery.message, error.message, delivery.queue)
        await delivery.ack()
        self._parts.emit(MessageBuried(delivery.message.job_id, error.message))
        return Verdict()


def _is_being_stopped() -> bool:
    """Whether the cancellation is meant for us, and not for the call we wait for."""
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0
