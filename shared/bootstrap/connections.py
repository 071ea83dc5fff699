"""Every port to a server, connected."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from shared.adapters.files.filed_job_store import FiledJobStore
from shared.adapters.files.object_files import ObjectFiles
from shared.adapters.files.small_answers import SmallAnswers
from shared.adapters.files.whole_jobs import WholeJobs
from shared.adapters.redis.allowances import RedisAllowances
from shared.adapters.redis.answer_cache import RedisAnswerCache
from shared.adapters.redis.answer_streams import RedisAnswerStreams
from shared.adapters.redis.api_keys import RedisApiKeys
from shared.adapters.redis.connection import connect
from shared.adapters.redis.deliveries import RedisDeliveries
from shared.adapters.redis.job_feed import RedisJobFeed
from shared.adapters.redis.job_store import RedisJobStore
from shared.adapters.redis.job_upkeep import RedisJobUpkeep
from shared.adapters.redis.job_watch import RedisJobWatch
from shared.adapters.redis.lane_pauses import RedisLanePauses
from shared.adapters.redis.outbox import RedisOutbox
from shared.adapters.redis.provider_changes import RedisProviderChanges
from shared.adapters.redis.rate_limits import RedisRateLimits
from shared.adapters.redis.schedule import RedisSchedule
from shared.adapters.redis.webhook_endpoints import RedisWebhookEndpoints
from shared.adapters.redis.webhook_secrets import RedisWebhookSecrets
from shared.adapters.redis.worker_leases import RedisWorkerLeases
from shared.bootstrap.broker import door_of, work_queue
from shared.bootstrap.servers import Servers
from shared.domain.allowances import Allowances
from shared.domain.answer_cache import AnswerCache
from shared.domain.answer_streams import AnswerStreams
from shared.domain.api_keys import ApiKeys
from shared.domain.clock import Clock
from shared.domain.door import Door
from shared.domain.events import Emit
from shared.domain.files import DEFAULT_INLINE_LIMIT, LargeBodies
from shared.domain.job_feed import JobFeed
from shared.domain.job_store import JobStore
from shared.domain.job_upkeep import JobUpkeep
from shared.domain.job_watch import JobWatch
from shared.domain.lane_pauses import LanePauses
from shared.domain.lanes import DEFERRABLE_WINDOWS, DeferrableWindow
from shared.domain.notices import Outbox
from shared.domain.provider_changes import ProviderChanges
from shared.domain.reservations import RateLimits
from shared.domain.schedule import Schedule
from shared.domain.webhook_deliveries import Deliveries
from shared.domain.webhook_endpoints import WebhookEndpoints
from shared.domain.webhook_secrets import WebhookSecrets
from shared.domain.work_queue import WorkQueue
from shared.domain.worker_leases import WorkerLeases


@dataclass(frozen=True, slots=True)
class Connections:
    """Every port to a server, connected.

    store: the jobs with all that is theirs. records: the same without the responses that lie in files.
    large: None: there is no file store.
    """

    store: JobStore
    records: JobStore
    large: LargeBodies | None
    leases: WorkerLeases
    feed: JobFeed
    watch: JobWatch
    cache: AnswerCache
    limits: RateLimits
    allowances: Allowances
    api_keys: ApiKeys
    pauses: LanePauses
    outbox: Outbox
    webhook_endpoints: WebhookEndpoints
    webhook_secrets: WebhookSecrets
    deliveries: Deliveries
    provider_changes: ProviderChanges
    answer_streams: AnswerStreams
    upkeep: JobUpkeep
    schedule: Schedule
    queue: WorkQueue
    door: Door | None = None
    """None: the queues are streams, and nobody else speaks to them."""


@asynccontextmanager
async def open_connections(
    servers: Servers,
    retention_s: float,
    clock: Clock,
    emit: Emit,
    windows: Sequence[DeferrableWindow] = DEFERRABLE_WINDOWS,
    inline_limit: int = DEFAULT_INLINE_LIMIT,
) -> AsyncIterator[Connections]:
    """Connect every port; ``windows``: of deferrable work, the shortest first; ``inline_limit``: see ``LargeBodies``.

    Raises:
        BrokerUnavailable, StoreUnavailable: a server is not there.
        ConfigurationError: a URL cannot be used.
    """
    large = None if servers.files_url is None else LargeBodies(ObjectFiles(servers.files_url), inline_limit)
    async with AsyncExitStack() as stack:
        client = connect(servers.redis_url)
        stack.push_async_callback(client.aclose)
        queue = work_queue(servers, client, clock, emit, windows)
        await queue.open()
        stack.push_async_callback(queue.close)
        door = door_of(servers, queue, clock, emit)
        if door is not None:
            stack.push_async_callback(door.leave)
        answer_streams = RedisAnswerStreams(client, clock, emit)
        stack.push_async_callback(answer_streams.close)
        watch = RedisJobWatch(client, clock, emit)
        stack.push_async_callback(watch.close)
        records = RedisJobStore(client, retention_s, windows[-1].seconds)
        cache = RedisAnswerCache(client)
        yield Connections(
            store=records if large is None else WholeJobs(records, large),
            records=records if large is None else FiledJobStore(records, large),
            large=large,
            leases=RedisWorkerLeases(client),
            feed=RedisJobFeed(client, clock, emit),
            watch=watch,
            cache=cache if large is None else SmallAnswers(cache, large.inline_limit),
            limits=RedisRateLimits(client),
            allowances=RedisAllowances(client),
            api_keys=RedisApiKeys(client),
            pauses=RedisLanePauses(client),
            outbox=RedisOutbox(client),
            webhook_endpoints=RedisWebhookEndpoints(client),
            webhook_secrets=RedisWebhookSecrets(client),
            deliveries=RedisDeliveries(client),
            provider_changes=RedisProviderChanges(client),
            answer_streams=answer_streams,
            upkeep=RedisJobUpkeep(client, retention_s, windows[-1].seconds),
            schedule=RedisSchedule(client),
            queue=queue,
            door=door,
        )
