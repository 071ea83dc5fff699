"""From settings to adapters: the only module that names them. A URL's scheme chooses the adapter."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import SecretStr
from redis.asyncio import Redis

from shared.adapters.embedded.valkey import EmbeddedValkey
from shared.adapters.files.filed_job_store import FiledJobStore
from shared.adapters.files.object_files import ObjectFiles, what_is_wrong
from shared.adapters.files.small_answers import SmallAnswers
from shared.adapters.files.whole_jobs import WholeJobs
from shared.adapters.providers.price_table import PriceTable
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
from shared.adapters.redis.rate_limits import RedisRateLimits
from shared.adapters.redis.safety import unsafe_settings
from shared.adapters.redis.schedule import RedisSchedule
from shared.adapters.redis.webhook_endpoints import RedisWebhookEndpoints
from shared.adapters.redis.webhook_secrets import RedisWebhookSecrets
from shared.adapters.redis.worker_leases import RedisWorkerLeases
from shared.adapters.telemetry.log_sink import log_sink
from shared.domain.allowances import Allowances
from shared.domain.answer_cache import AnswerCache
from shared.domain.answer_streams import AnswerStreams
from shared.domain.api_keys import ApiKeys
from shared.domain.clock import Clock, SystemClock
from shared.domain.door import Door
from shared.domain.errors import BrokerUnavailable, ConfigurationError, StoreUnavailable
from shared.domain.events import Emit
from shared.domain.files import DEFAULT_INLINE_LIMIT, LargeBodies
from shared.domain.job_store import JobFeed, JobStore, WorkerLeases
from shared.domain.job_upkeep import JobUpkeep
from shared.domain.job_watch import JobWatch
from shared.domain.lane_pauses import LanePauses
from shared.domain.lanes import DEFERRABLE_WINDOWS, DeferrableWindow
from shared.domain.notices import Outbox
from shared.domain.providers import ProviderClient
from shared.domain.public_addresses import AllowedNetworks
from shared.domain.reservations import RateLimits
from shared.domain.routing import ClientKind
from shared.domain.schedule import Schedule
from shared.domain.usage import Price
from shared.domain.webhook_deliveries import Deliveries
from shared.domain.webhook_endpoints import WebhookEndpoints
from shared.domain.webhook_secrets import WebhookSecrets
from shared.domain.webhook_sender import WebhookSender
from shared.domain.work_queue import WorkQueue
from shared.settings import LogLevel, Settings
from shared.wire.config_check import Finding, Level, finding_of


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the servers are.

    amqp_url: None: the queues are streams in the store's server. files_url: None: nothing is too large to stay inline.
    """

    redis_url: str
    amqp_url: str | None
    files_url: str | None = None
    embedded: EmbeddedValkey | None = None

    async def watch(self) -> None:
        """Return only if there is no embedded server.

        Raises:
            StoreUnavailable: the embedded server has ended; it is not started again.
        """
        if self.embedded is not None:
            how = await self.embedded.ended()
            raise StoreUnavailable(
                "The embedded Valkey has ended by itself, and Forebay with it. Nothing that was accepted is lost: "
                f"start it again with the same data directory and the work goes on. {how}"
            )


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
    answer_streams: AnswerStreams
    upkeep: JobUpkeep
    schedule: Schedule
    queue: WorkQueue
    door: Door | None = None
    """None: the queues are streams, and nobody else speaks to them."""


def external_servers(settings: Settings) -> Servers:
    """Give the servers that a separate role needs.

    Raises:
        ConfigurationError: one of the two URLs is not set.
    """
    for name, url in (("FOREBAY_AMQP_URL", settings.amqp_url), ("FOREBAY_REDIS_URL", settings.redis_url)):
        if url is None:
            raise ConfigurationError(
                name, None, "a server's URL; for all in one process, without servers: `forebay up`"
            )
    assert settings.redis_url is not None
    assert settings.amqp_url is not None
    return Servers(
        settings.redis_url.get_secret_value(), settings.amqp_url.get_secret_value(), _url(settings.files_url)
    )


@asynccontextmanager
async def embedded_servers(settings: Settings) -> AsyncIterator[Servers]:
    """Run what the settings name no server for; gone at the end, with its data kept in ``data_dir``."""
    amqp_url = _url(settings.amqp_url)
    files_url = _url(settings.files_url) or _files_below(settings.data_dir)
    if settings.redis_url is not None:
        yield Servers(settings.redis_url.get_secret_value(), amqp_url, files_url)
        return
    valkey = EmbeddedValkey(Path(settings.data_dir) / "store")
    url = await valkey.start()
    try:
        yield Servers(url, amqp_url, files_url, valkey)
    finally:
        await valkey.stop()


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
        queue = _work_queue(servers, client, clock, emit, windows)
        await queue.open()
        stack.push_async_callback(queue.close)
        door = _door(servers, queue, clock, emit)
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
            feed=RedisJobFeed(client),
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
            answer_streams=answer_streams,
            upkeep=RedisJobUpkeep(client, retention_s, windows[-1].seconds),
            schedule=RedisSchedule(client),
            queue=queue,
            door=door,
        )


@asynccontextmanager
async def provider_clients() -> AsyncIterator[Mapping[ClientKind, ProviderClient]]:
    """Give a client for every kind of deployment. LiteLLM is imported at its first call, not here."""
    from shared.adapters.providers.litellm_client import LiteLLMClient  # noqa: PLC0415 - workers alone need it
    from shared.adapters.providers.openai_http import OpenAIHttpClient  # noqa: PLC0415 - workers alone need it

    clients: dict[ClientKind, ProviderClient] = {
        ClientKind.HTTP: OpenAIHttpClient(),
        ClientKind.LITELLM: LiteLLMClient(),
    }
    try:
        yield clients
    finally:
        for client in clients.values():
            await client.close()


@asynccontextmanager
async def webhook_sender(allowed: AllowedNetworks, timeout_s: float) -> AsyncIterator[WebhookSender]:
    """Give what sends webhooks, to public addresses and those of ``allowed``; an attempt ends within ``timeout_s``."""
    from shared.adapters.webhooks.sender import HttpWebhookSender  # noqa: PLC0415 - couriers alone need it

    sender = HttpWebhookSender(allowed, timeout_s)
    try:
        yield sender
    finally:
        await sender.close()


async def check_servers(settings: Settings) -> list[Finding]:
    """Look whether the servers that the settings name can be reached, and whether they keep what they are given.

    The embedded servers are not looked at: nobody else can set them up wrongly.
    """
    found: list[Finding] = []
    checks = (
        (settings.redis_url, _check_store),
        (settings.amqp_url, _check_broker),
        (settings.files_url, _check_files),
    )
    for url, check in checks:
        if url is not None:
            try:
                found += await check(url.get_secret_value())
            except ConfigurationError as error:
                found.append(finding_of(error))
    return found


def price_of(model: str) -> Price | None:
    """Give the public price of a model, from the table that LiteLLM ships; None: not known."""
    return _price_table().price(model)


def sink(level: LogLevel) -> Emit:
    """Give where events go: the log, from ``level`` upwards."""
    return log_sink(level)


async def _check_store(url: str) -> list[Finding]:
    client = connect(url)
    try:
        unsafe = await unsafe_settings(client)
    except StoreUnavailable as error:
        return [Finding(Level.ERROR, "FOREBAY_REDIS_URL", error.message)]
    finally:
        await client.aclose()
    return [Finding(Level.WARNING, "FOREBAY_REDIS_URL", sentence) for sentence in unsafe]


async def _check_broker(url: str) -> list[Finding]:
    broker = _rabbitmq(url, SystemClock(), sink("error"), DEFERRABLE_WINDOWS)
    try:
        await broker.open()
    except BrokerUnavailable as error:
        return [Finding(Level.ERROR, "FOREBAY_AMQP_URL", error.message)]
    finally:
        await broker.close()
    return []


async def _check_files(url: str) -> list[Finding]:
    wrong = await what_is_wrong(ObjectFiles(url))
    return [] if wrong is None else [Finding(Level.ERROR, "FOREBAY_FILES_URL", wrong)]


@cache
def _price_table() -> PriceTable:
    return PriceTable()


def _work_queue(
    servers: Servers, client: object, clock: Clock, emit: Emit, windows: Sequence[DeferrableWindow]
) -> WorkQueue:
    if servers.amqp_url is not None:
        return _rabbitmq(servers.amqp_url, clock, emit, windows)
    from shared.adapters.streams.work_queue import StreamsWorkQueue  # noqa: PLC0415 - the twin is lazy as well

    if not isinstance(client, Redis):
        raise ConfigurationError(
            "FOREBAY_AMQP_URL", None, "a RabbitMQ URL: queues in a Redis Cluster are not supported"
        )
    return StreamsWorkQueue(client, clock, emit, windows)


def _door(servers: Servers, queue: WorkQueue, clock: Clock, emit: Emit) -> Door | None:
    if servers.amqp_url is None:
        return None
    from shared.adapters.rabbitmq.door import RabbitMQDoor  # noqa: PLC0415 - as its queue
    from shared.adapters.rabbitmq.work_queue import RabbitMQWorkQueue  # noqa: PLC0415

    assert isinstance(queue, RabbitMQWorkQueue)
    return RabbitMQDoor(servers.amqp_url, queue.publishing, clock, emit)


def _files_below(data_dir: Path) -> str:
    return (data_dir.resolve() / "files").as_uri()


def _url(url: SecretStr | None) -> str | None:
    return None if url is None else url.get_secret_value()


def _rabbitmq(url: str, clock: Clock, emit: Emit, windows: Sequence[DeferrableWindow]) -> WorkQueue:
    from shared.adapters.rabbitmq.work_queue import RabbitMQWorkQueue  # noqa: PLC0415 - 0.3 s that streams save

    scheme, separator, _ = url.partition("://")
    if scheme not in {"amqp", "amqps"} or not separator:
        # The URL itself may hold a password.
        found = f"{scheme}://…" if separator else "…, without a scheme"
        raise ConfigurationError("FOREBAY_AMQP_URL", found, "an amqp:// or amqps:// URL")
    return RabbitMQWorkQueue(url, clock, emit, windows)
