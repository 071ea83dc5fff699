"""The courier of webhooks with real parts around it: the store and the streams of a real server, the real sender.

Waiting costs no time: who publishes for later moves the clock there, and publishes at once.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

from redis.asyncio import Redis

from scheduler.duties.parts import DutyParts
from shared.adapters.redis.allowances import RedisAllowances
from shared.adapters.redis.connection import connect
from shared.adapters.redis.deliveries import RedisDeliveries
from shared.adapters.redis.job_store import RedisJobStore
from shared.adapters.redis.job_upkeep import RedisJobUpkeep
from shared.adapters.redis.outbox import RedisOutbox
from shared.adapters.redis.provider_changes import RedisProviderChanges
from shared.adapters.redis.rate_limits import RedisRateLimits
from shared.adapters.redis.webhook_endpoints import RedisWebhookEndpoints
from shared.adapters.redis.webhook_secrets import RedisWebhookSecrets
from shared.adapters.streams.work_queue import StreamsWorkQueue
from shared.adapters.webhooks.sender import HttpWebhookSender
from shared.domain.callbacks import Callback
from shared.domain.catalog import Lane
from shared.domain.clock import SystemClock
from shared.domain.errors import BrokerUnavailable
from shared.domain.events import Event
from shared.domain.ids import new_id
from shared.domain.job import Job, JobSpec, JobStatus, Outcome
from shared.domain.job_intake import NewJob
from shared.domain.job_store import JobStore
from shared.domain.lanes import DEFAULT_WEIGHTS, MAILBOXES, Mailbox, Priority, QueueName
from shared.domain.notices import Announcer
from shared.domain.public_addresses import AllowedNetworks
from shared.domain.reservations import RateLimits
from shared.domain.webhook_deliveries import BUSY, Delivery, DeliveryFilter
from shared.domain.webhook_endpoints import Endpoint
from shared.domain.webhook_schedule import DeliveryStatus, Schedule
from shared.domain.webhook_secrets import SigningSecret, new_secret
from shared.domain.webhooks import EventType
from shared.domain.work_queue import Message
from tests.eventually import eventually
from workers.couriers.courier import Courier
from workers.couriers.webhook_courier import WebhookCourier
from workers.couriers.webhook_parts import WebhookParts

TEAM = "red"
OTHER_TEAM = "blue"
PROMPT = "a prompt that nobody may see"
LOOPBACK = AllowedNetworks.of(["127.0.0.0/8"])
WAITS_S = (1.0, *[0.5] * 8)
"""As many as in earnest, and so short that receivers still take the moved clock's signatures."""


class MovedClock(SystemClock):
    """The machine's clock, some seconds ahead."""

    ahead_s = 0.0

    def now(self) -> float:
        return super().now() + self.ahead_s

    def move_to(self, moment: float) -> None:
        self.ahead_s = max(self.ahead_s, moment - super().now())


class HastyWorkQueue(StreamsWorkQueue):
    """The real queues; who waits is given what it waits for at once, and the clock is moved. ``waited``: each wait."""

    clock: MovedClock
    waited: list[float]
    is_hasty = True
    fails = 0

    async def publish(self, queue: QueueName, message: Message, delay_s: float = 0.0) -> None:
        if self.fails:
            self.fails -= 1
            raise BrokerUnavailable
        if delay_s and self.is_hasty:
            if BUSY not in message.headers:
                self.waited.append(delay_s)
                self.clock.move_to(self.clock.now() + delay_s)
            delay_s = 0.0
        await super().publish(queue, message, delay_s)


@dataclass
class WebhookRig:
    """What a test of webhooks works with. ``events``: everything that was announced."""

    parts: WebhookParts
    store: JobStore
    queue: HastyWorkQueue
    deliveries: RedisDeliveries
    redis: Redis
    clock: MovedClock
    events: list[Event] = field(default_factory=list)

    def duty_parts(self, limits: RateLimits | None = None, *lanes: Lane) -> DutyParts:
        """What the scheduler's duties work with, beside the courier. ``limits``, of ``lanes``: of the server's clock."""
        return DutyParts(
            store=self.store,
            upkeep=RedisJobUpkeep(self.redis),
            queue=self.queue,
            outbox=self.parts.outbox,
            allowances=RedisAllowances(self.redis),
            clock=self.clock,
            emit=self.events.append,
            deliveries=self.deliveries,
            limits=limits or RedisRateLimits(self.redis),
            provider_changes=self.parts.provider_changes,
            lanes=lanes,
        )

    async def secret(self, team: str = TEAM) -> str:
        """The secret of webhooks that are named on jobs."""
        return (await self.parts.secrets.secret(team)).current

    async def endpoint(self, url: str, *events: EventType, team: str = TEAM) -> Endpoint:
        """Register an endpoint."""
        now = self.clock.now()
        endpoint = Endpoint(new_id("we", now), team, url, events, SigningSecret(new_secret()), now)
        assert await self.parts.endpoints.add(endpoint)
        return endpoint

    async def end_job(
        self, webhook: str | None = None, team: str = TEAM, status: JobStatus = JobStatus.SUCCEEDED, **changes: object
    ) -> Job:
        """Have a job end, and tell of it, as a worker does."""
        now = self.clock.now()
        spec = JobSpec(
            id=new_id("job", now),
            team=team,
            endpoint="/v1/chat/completions",
            model="sim",
            lane="sim",
            priority=Priority.STANDARD,
            created_at=now,
            callback=Callback(webhook),
        )
        response = changes.pop("response", {"said": "an answer"})
        spec = replace(spec, **changes)  # type: ignore[arg-type]  # the tests name the fields
        await self.store.accept([NewJob(spec, PROMPT.encode())])
        claim = await self.store.claim(spec, "worker-1")
        outcome = Outcome(status, response=response if isinstance(response, dict) else None)
        finished = await self.store.finish(spec, claim.fence, outcome, ())
        await self.tell(team, [spec.id, *([spec.batch_id] if spec.batch_id else [])])
        assert finished
        job = await self.store.get(team, spec.id)
        assert job is not None
        return job

    async def tell(self, team: str, subjects: Sequence[str]) -> None:
        """Publish the notices that are left."""
        await Announcer(self.queue, self.parts.outbox).tell_what_is_left(team, subjects)

    async def all(self, team: str = TEAM, **wanted: object) -> list[Delivery]:
        """Every delivery, newest first."""
        wanted_ones = DeliveryFilter(**wanted)  # type: ignore[arg-type]  # the tests name the fields
        return list((await self.deliveries.page(team, wanted_ones, None, 1000)).deliveries)

    async def ended(self, count: int, team: str = TEAM) -> list[Delivery]:
        """Wait until so many deliveries have come to their end, and give them."""

        async def are_ended() -> list[Delivery]:
            ended = [one for one in await self.all(team) if one.status is not DeliveryStatus.PENDING]
            return ended if len(ended) >= count else []

        return await eventually(are_ended)

    async def fan_out(self) -> list[Delivery]:
        """Have one notice made into deliveries, whose messages wait; give them."""
        intake = self.queue.intake(Mailbox.WEBHOOKS.value, DEFAULT_WEIGHTS, 1)
        notice = await intake.take()
        await intake.close()
        await WebhookCourier(self.parts).handle(notice)
        return await self.all()

    async def depth(self) -> int:
        """Messages in the mailbox."""
        depth = await self.queue.depth(Mailbox.WEBHOOKS.queue)
        return depth.ready + depth.unacknowledged

    async def is_empty(self) -> bool:
        """Whether no message is left in the mailbox."""
        return await self.depth() == 0

    @asynccontextmanager
    async def carrying(self, **changes: object) -> AsyncIterator[None]:
        """Run a courier until the block ends; ``changes`` are to its parts."""
        parts = replace(self.parts, **changes)  # type: ignore[arg-type]  # the tests name the fields
        stop, ready = asyncio.Event(), asyncio.Event()
        handlers = {Mailbox.WEBHOOKS: WebhookCourier(parts).handle}
        running = asyncio.create_task(
            Courier(self.queue, handlers, self.clock, self.events.append).run(stop, ready.set)
        )
        await ready.wait()
        try:
            yield
        finally:
            stop.set()
            await running


def lowest(low: float, _high: float) -> float:
    return low


@asynccontextmanager
async def webhook_rig(url: str, timeout_s: float = 5.0, retention_s: float = 600.0) -> AsyncIterator[WebhookRig]:
    """Put the parts together on the Valkey at ``url``."""
    async with AsyncExitStack() as stack:
        client = connect(url)
        assert isinstance(client, Redis)
        stack.push_async_callback(client.aclose)
        clock, events = MovedClock(), list[Event]()
        queue = HastyWorkQueue(client, clock, events.append)
        queue.clock, queue.waited = clock, []
        await queue.open()
        stack.push_async_callback(queue.close)
        await queue.declare(sorted(MAILBOXES))
        sender = HttpWebhookSender(LOOPBACK, timeout_s)
        stack.push_async_callback(sender.close)
        store, deliveries = RedisJobStore(client, retention_s), RedisDeliveries(client)
        parts = WebhookParts(
            store=store,
            endpoints=RedisWebhookEndpoints(client),
            secrets=RedisWebhookSecrets(client),
            deliveries=deliveries,
            provider_changes=RedisProviderChanges(client),
            queue=queue,
            outbox=RedisOutbox(client),
            sender=sender,
            schedule=Schedule(lowest, WAITS_S),
            clock=clock,
            emit=events.append,
            lease_s=timeout_s + 0.2,
        )
        yield WebhookRig(parts, store, queue, deliveries, client, clock, events)
