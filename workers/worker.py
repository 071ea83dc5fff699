"""A worker: consumes the lanes it knows, drains when told to stop, and then is gone without a trace."""

import asyncio
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from shared.domain.allowances import Allowances
from shared.domain.answer_cache import AnswerCache
from shared.domain.answer_streams import AnswerStreams
from shared.domain.catalog import Catalog, Lane
from shared.domain.class_shares import ClassShares
from shared.domain.clock import Clock
from shared.domain.errors import Unavailable
from shared.domain.events import Emit, RoleStarted, RoleStopped
from shared.domain.files import Files
from shared.domain.job import JobStatus
from shared.domain.job_feed import JobFeed
from shared.domain.job_store import JobStore
from shared.domain.lane_pauses import LanePauses
from shared.domain.lanes import DEFAULT_WEIGHTS, DEFERRABLE_WINDOWS, MAILBOXES, DeferrableWindow, Priority
from shared.domain.notices import Announcer, Outbox
from shared.domain.providers import ProviderClient
from shared.domain.reservations import RateLimits
from shared.domain.routing import ClientKind
from shared.domain.token_estimate import TokenEstimator
from shared.domain.turns import Turns
from shared.domain.work_queue import WorkQueue
from shared.domain.worker_leases import WorkerLeases
from workers.call_ends import CallEnds
from workers.executor import Executor, ExecutorParts
from workers.lane_runner import LaneRunner
from workers.lane_switch import LaneSwitch
from workers.lease import WorkerLease
from workers.pause_watch import PauseWatch
from workers.pipeline import assemble, stages
from workers.quota_gate import QuotaGate
from workers.renewals import Renewals
from workers.room import Room
from workers.settlement import Settlement
from workers.stages.capacity import Capacity, LimitParts
from workers.stages.fallbacks import Fallbacks
from workers.stages.provider_call import ProviderCall
from workers.stages.request_file import RequestFile

ENDED_BY_OTHERS: Final = (JobStatus.CANCELLED, JobStatus.EXPIRED)
"""How a job ends though its worker runs it: somebody cancels it, or the scheduler finds it long overdue."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What an operator may choose.

    slots: jobs of one lane at a time. grace_s: seconds that running jobs are given when the worker is told to stop.
    weights: turns of each priority. shares: what each class leaves of every limit to the others.
    windows: of deferrable work, the shortest first.
    """

    slots: int = 128
    grace_s: float = 25.0
    weights: Mapping[Priority, int] = field(default_factory=lambda: DEFAULT_WEIGHTS)
    shares: ClassShares = field(default_factory=ClassShares)
    windows: tuple[DeferrableWindow, ...] = DEFERRABLE_WINDOWS


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """What a worker works with. The caller opens and closes the connections. ``files``: None: there is no file store."""

    store: JobStore
    leases: WorkerLeases
    feed: JobFeed
    cache: AnswerCache
    queue: WorkQueue
    limits: RateLimits
    allowances: Allowances
    pauses: LanePauses
    outbox: Outbox
    answer_streams: AnswerStreams
    clients: Mapping[ClientKind, ProviderClient]
    files: Files | None = None


class Worker:
    """One process's worker."""

    def __init__(self, parts: WorkerParts, catalog: Catalog, options: WorkerOptions, clock: Clock, emit: Emit) -> None:
        """Serve every lane of ``catalog``, while ``switch`` does not say that it is paused."""
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self.switch = LaneSwitch()
        self._parts = parts
        self._catalog = catalog
        self._options = options
        self._clock = clock
        self._emit = emit
        self._pauses = PauseWatch(parts.pauses, self.switch, catalog.lanes, clock, emit)
        self._lease = WorkerLease(self.name, parts.leases, clock, emit)
        self._rooms = {name: Room(options.slots, options.shares.interactive_reserve) for name in catalog.lanes}
        self._ends = ends = CallEnds(parts.limits, clock, emit)
        gates = {name: QuotaGate(parts.limits, Turns(options.weights), ends) for name in catalog.lanes}
        estimator = TokenEstimator()
        renewals = Renewals(parts.limits, clock)
        capacity = Capacity(LimitParts(gates, self._rooms, options.shares, clock, ends, renewals, estimator))
        call = ProviderCall(parts.clients, estimator, clock, emit)
        self._executor = Executor(
            ExecutorParts(
                *(self.name, parts.store, parts.leases, parts.queue, clock, emit),
                Settlement(parts.allowances),
                Announcer(parts.queue, parts.outbox),
                parts.answer_streams,
                options.windows,
            ),
            assemble(stages(RequestFile(parts.files, emit), parts.cache, Fallbacks(catalog, emit), capacity, call)),
        )

    async def run(self, stop: asyncio.Event, on_ready: Callable[[], None] = lambda: None) -> None:
        """Work until ``stop`` is set, then drain. Errors that no retry can mend end the worker."""
        await self._parts.queue.declare([*self._catalog.lanes, *MAILBOXES])
        async with asyncio.TaskGroup() as background:
            keeping = background.create_task(self._lease.keep())
            watching = background.create_task(self._watch_for_ended_jobs())
            following = background.create_task(self._pauses.keep_looking())
            await self._lease.held_or(stop)
            given_back = 0 if stop.is_set() else await self._work(background, stop, on_ready)
            keeping.cancel()
            watching.cancel()
            following.cancel()
        await self._ends.close()
        await self._lease.end()
        self._emit(RoleStopped("worker", self.name, given_back))

    async def _work(self, background: asyncio.TaskGroup, stop: asyncio.Event, on_ready: Callable[[], None]) -> int:
        await self._pauses.look()  # before anything of a paused lane is taken
        runners = [self._runner(lane) for lane in self._catalog.lanes.values()]
        running = [background.create_task(runner.run(self._clock, self._emit)) for runner in runners]
        self._emit(RoleStarted("worker", self.name))
        on_ready()
        await stop.wait()
        for task in running:
            task.cancel()
        return sum(await asyncio.gather(*(runner.drain(self._options.grace_s) for runner in runners)))

    def _runner(self, lane: Lane) -> LaneRunner:
        options = self._options
        intake = self._parts.queue.intake(lane.name, options.weights, options.slots)
        return LaneRunner(lane, intake, self._executor, self._lease, self._rooms[lane.name], self.switch)

    async def _watch_for_ended_jobs(self) -> None:
        async with aclosing(self._parts.feed.follow()) as changes:
            async for change in changes:
                if change is None:
                    await self._look_for_missed_ends()
                elif change.status in ENDED_BY_OTHERS:
                    self._executor.abort(change.job_id)

    async def _look_for_missed_ends(self) -> None:
        for envelope in self._executor.in_hand:
            try:
                job = await self._parts.store.get(envelope.spec.team, envelope.spec.id)
            except Unavailable:
                return  # the feed will be made again, and we come back here
            if job is not None and job.status in ENDED_BY_OTHERS:
                self._executor.abort(envelope.spec.id)
