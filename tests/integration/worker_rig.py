"""One lane with real parts around it: the store and the streams of a real server, a simulated provider."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal

from redis.asyncio import Redis

from scheduler.duties.parts import DutyParts
from shared.adapters.providers.openai_http import OpenAIHttpClient
from shared.adapters.redis.allowances import RedisAllowances
from shared.adapters.redis.answer_cache import RedisAnswerCache
from shared.adapters.redis.answer_streams import RedisAnswerStreams
from shared.adapters.redis.connection import connect
from shared.adapters.redis.job_feed import RedisJobFeed
from shared.adapters.redis.job_store import RedisJobStore
from shared.adapters.redis.lane_pauses import RedisLanePauses
from shared.adapters.redis.outbox import RedisOutbox
from shared.adapters.redis.rate_limits import RedisRateLimits
from shared.adapters.redis.worker_leases import RedisWorkerLeases
from shared.adapters.streams.work_queue import StreamsWorkQueue
from shared.domain.catalog import Catalog, Lane
from shared.domain.class_shares import ClassShares
from shared.domain.clock import SystemClock
from shared.domain.events import Event
from shared.domain.ids import new_id
from shared.domain.job import Envelope, Job, JobSpec
from shared.domain.job_intake import NewJob
from shared.domain.job_upkeep import JobUpkeep
from shared.domain.lanes import DEFAULT_WEIGHTS, MAILBOXES, Priority
from shared.domain.notices import Announcer
from shared.domain.provider_changes import ProviderChanges
from shared.domain.retry import RetryPolicy
from shared.domain.routing import ClientKind, Deployment
from shared.domain.token_estimate import TokenEstimator
from shared.domain.turns import Turns
from shared.domain.usage import Price
from shared.domain.webhook_deliveries import Deliveries
from shared.domain.work_queue import Delivery, Intake, Message
from shared.wire.envelope import encode
from tests.servers.provider import SimulatedProvider, simulated_provider
from workers.call_ends import CallEnds
from workers.executor import Executor, ExecutorParts
from workers.pipeline import assemble, stages
from workers.quota_gate import QuotaGate
from workers.renewals import Renewals
from workers.room import Room
from workers.settlement import Settlement
from workers.stages.capacity import Capacity, LimitParts
from workers.stages.fallbacks import Fallbacks
from workers.stages.provider_call import ProviderCall
from workers.stages.request_file import RequestFile
from workers.worker import WorkerParts

TEAM = "default"


@dataclass
class Rig:
    """What a test of the worker works with. ``events``: everything that was announced."""

    parts: WorkerParts
    lane: Lane
    provider: SimulatedProvider
    intake: Intake
    clock: SystemClock = field(default_factory=SystemClock)
    events: list[Event] = field(default_factory=list)
    others: tuple[Lane, ...] = ()

    @property
    def catalog(self) -> Catalog:
        return Catalog({lane.name: lane for lane in (self.lane, *self.others)})

    def executor(self, worker: str = "worker-1") -> Executor:
        """A worker's executor."""
        parts = self.parts
        emit = self.events.append
        ends = CallEnds(parts.limits, self.clock, emit)
        gates = {name: QuotaGate(parts.limits, Turns(DEFAULT_WEIGHTS), ends) for name in self.catalog.lanes}
        rooms = {name: Room(8) for name in self.catalog.lanes}
        estimator = TokenEstimator()
        renewals = Renewals(parts.limits, self.clock)
        capacity = Capacity(LimitParts(gates, rooms, ClassShares(), self.clock, ends, renewals, estimator))
        call = ProviderCall(parts.clients, estimator, self.clock, emit)
        return Executor(
            ExecutorParts(
                worker,
                parts.store,
                parts.leases,
                parts.queue,
                self.clock,
                self.events.append,
                Settlement(parts.allowances),
                Announcer(parts.queue, parts.outbox),
                parts.answer_streams,
            ),
            assemble(
                stages(RequestFile(parts.files, emit), parts.cache, Fallbacks(self.catalog, emit), capacity, call)
            ),
        )

    async def submit(self, text: str, **changes: object) -> JobSpec:
        """Accept and publish a job that asks ``text``; ``changes`` are to its specification."""
        return await self.submit_with({}, text, **changes)

    async def submit_with(self, more: Mapping[str, object], text: str, **changes: object) -> JobSpec:
        """As ``submit``, with ``more`` in the request."""
        spec = JobSpec(
            id=new_id("job", self.clock.now()),
            team=TEAM,
            endpoint="/v1/chat/completions",
            model=self.lane.name,
            lane=self.lane.name,
            priority=Priority.STANDARD,
            created_at=self.clock.now(),
        )
        spec = replace(spec, **changes)  # type: ignore[arg-type]  # the tests name the fields
        request: dict[str, object] = {
            "model": self.lane.name,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": 8,
        }
        request |= more
        body = encode(Envelope(spec, request))
        await self.parts.store.accept([NewJob(spec, body)])
        await self.parts.queue.publish(spec.queue(self.clock.now()), Message(body, spec.id))
        await self.parts.store.mark_queued(TEAM, [spec])
        return spec

    async def take(self) -> Delivery:
        """The next delivery of the lane."""
        return await self.intake.take()

    async def job(self, spec: JobSpec) -> Job:
        """The job's record."""
        job = await self.parts.store.get(TEAM, spec.id)
        assert job is not None
        return job

    async def waiting(self, spec: JobSpec) -> int:
        """Messages of the job's queue that are not acknowledged."""
        depth = await self.parts.queue.depth(spec.queue(self.clock.now()))
        return depth.ready + depth.unacknowledged


@asynccontextmanager
async def worker_rig(
    store_url: str, retry: RetryPolicy, deployments: int = 1, provider: SimulatedProvider | None = None
) -> AsyncIterator[Rig]:
    """Build a rig on an empty store; without a ``provider`` one is started for it."""
    async with AsyncExitStack() as stack:
        client = connect(store_url)
        assert isinstance(client, Redis)
        stack.push_async_callback(client.aclose)
        if provider is None:
            provider = await stack.enter_async_context(simulated_provider())
        events: list[Event] = []
        queue = StreamsWorkQueue(client, SystemClock(), events.append)
        await queue.open()
        stack.push_async_callback(queue.close)
        http = OpenAIHttpClient()
        stack.push_async_callback(http.close)
        lane = Lane("sim", tuple(sim_deployment(number, provider.url) for number in range(deployments)), retry)
        await queue.declare([lane.name, *MAILBOXES])
        streams = RedisAnswerStreams(client, SystemClock(), events.append)
        stack.push_async_callback(streams.close)
        parts = WorkerParts(
            RedisJobStore(client),
            RedisWorkerLeases(client),
            RedisJobFeed(client, SystemClock(), events.append),
            RedisAnswerCache(client),
            queue,
            RedisRateLimits(client),
            RedisAllowances(client),
            RedisLanePauses(client),
            RedisOutbox(client),
            streams,
            {ClientKind.HTTP: http},
        )
        yield Rig(parts, lane, provider, queue.intake(lane.name, DEFAULT_WEIGHTS, 8), events=events)


def duty_parts(rig: Rig, upkeep: JobUpkeep, deliveries: Deliveries, provider_changes: ProviderChanges) -> DutyParts:
    """What the scheduler's duties work with, beside that worker."""
    parts = rig.parts
    return DutyParts(
        *(parts.store, upkeep, parts.queue, parts.outbox, parts.allowances),
        *(rig.clock, rig.events.append, deliveries),
        *(parts.limits, provider_changes, (rig.lane,)),
    )


def sim_deployment(number: int, url: str, lane: str = "sim") -> Deployment:
    """A deployment of the simulated provider, whose model there is ``<lane>-<number>``."""
    return Deployment(
        f"{lane}/{number}",
        lane,
        f"openai/{lane}-{number}",
        ClientKind.HTTP,
        api_base=url,
        api_key="sk-sim",
        timeout_s=5,
        order=number,
        price=Price(Decimal("0.000001"), Decimal("0.000002")),
    )
