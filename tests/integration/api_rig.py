"""The API on real parts: a store, queues and a feed in a Valkey, answering over real HTTP."""

import asyncio
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import aiohttp
import orjson
from redis.asyncio import Redis

from producer_api.app import ApiParts, create_app
from producer_api.open_files import allow_many
from producer_api.server import listen, serve
from shared.adapters.redis.allowances import RedisAllowances
from shared.adapters.redis.answer_cache import RedisAnswerCache
from shared.adapters.redis.answer_streams import RedisAnswerStreams
from shared.adapters.redis.api_keys import RedisApiKeys
from shared.adapters.redis.connection import connect
from shared.adapters.redis.deliveries import RedisDeliveries
from shared.adapters.redis.job_feed import RedisJobFeed
from shared.adapters.redis.job_store import RedisJobStore
from shared.adapters.redis.job_watch import RedisJobWatch
from shared.adapters.redis.lane_pauses import RedisLanePauses
from shared.adapters.redis.outbox import RedisOutbox
from shared.adapters.redis.rate_limits import RedisRateLimits
from shared.adapters.redis.schedule import RedisSchedule
from shared.adapters.redis.webhook_endpoints import RedisWebhookEndpoints
from shared.adapters.redis.webhook_secrets import RedisWebhookSecrets
from shared.adapters.streams.work_queue import StreamsWorkQueue
from shared.domain.answer_cache import CachedAnswer, CachePolicy
from shared.domain.api_keys import StoredKeyring
from shared.domain.catalog import Catalog, Lane
from shared.domain.clock import SystemClock
from shared.domain.errors import BrokerUnavailable, StoreUnavailable, Unavailable
from shared.domain.events import Event
from shared.domain.fingerprint import cache_key
from shared.domain.job import Job, JobSpec, JobStatus, Outcome
from shared.domain.job_intake import Accepted, NewJob
from shared.domain.job_store import JobStore
from shared.domain.lanes import MAILBOXES, QueueName
from shared.domain.routing import ClientKind, Deployment
from shared.domain.seats import Seats
from shared.domain.tenants import DEFAULT_TEAM, Keyrings, Principal, Scope
from shared.domain.usage import Usage
from shared.domain.work_queue import Message

TEAM = "red"
KEY = "fb-red"
OTHER_TEAM = "blue"
OTHER_KEY = "fb-blue"
ADMIN_KEY = "fb-admin"
BODY_LIMIT = 64 * 1024

CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Name three rivers."}]}
SUBMISSION: dict[str, Any] = {"request": CHAT}
ANSWER: dict[str, Any] = {
    "choices": [{"message": {"role": "assistant", "content": "Aare."}, "finish_reason": "stop"}],
    "extra": {"kept": [1, 2.5, None]},
}

CATALOG = Catalog(
    lanes={
        name: Lane(name, (Deployment(f"{name}-1", name, f"openai/{name}", ClientKind.HTTP, region="us-east-1"),))
        for name in ("gpt-4o-mini", "embedder")
    },
    aliases={"gpt-4": "gpt-4o-mini"},
)


class TwoTeams:
    """A keyring with a key for each of two teams, and the administrator's."""

    async def principal(self, key: str) -> Principal | None:
        admin = Principal(DEFAULT_TEAM, frozenset(Scope))
        return {KEY: Principal(TEAM), OTHER_KEY: Principal(OTHER_TEAM), ADMIN_KEY: admin}.get(key)


@dataclass(frozen=True, slots=True)
class Published:
    """What was confirmed."""

    queue: QueueName
    message: Message
    delay_s: float


class WatchedWorkQueue(StreamsWorkQueue):
    """The real queues; counts what is on its way, and can be told to fail after so many publishes."""

    published: list[Published]
    keeps = True
    unconfirmed = 0
    most_unconfirmed = 0
    away_after: int | None = None
    fails_with: type[Exception] = BrokerUnavailable

    async def publish(self, queue: QueueName, message: Message, delay_s: float = 0.0) -> None:
        if self.away_after is not None and len(self.published) + self.unconfirmed >= self.away_after:
            raise self.fails_with
        self.unconfirmed += 1
        self.most_unconfirmed = max(self.most_unconfirmed, self.unconfirmed)
        try:
            await super().publish(queue, message, delay_s)
        finally:
            self.unconfirmed -= 1
        if self.keeps:
            self.published.append(Published(queue, message, delay_s))


class WatchedJobStore(RedisJobStore):
    """The real store; counts readings, and can be told that notes of confirmed publishes do not reach it.

    Or that its answers to new jobs are lost, or that no job can be read.
    """

    loses_marks = False
    loses_answers = False
    unreadable_for: type[Unavailable] | None = None
    readings = 0

    async def accept(self, jobs: Sequence[NewJob]) -> list[Accepted]:
        accepted = await super().accept(jobs)
        if self.loses_answers:
            raise StoreUnavailable
        return accepted

    async def get(self, team: str, job_id: str) -> Job | None:
        job = await super().get(team, job_id)
        self.readings += 1
        if self.unreadable_for is not None:
            raise self.unreadable_for
        return job

    async def mark_queued(self, team: str, specs: Sequence[JobSpec]) -> None:
        if self.loses_marks:
            raise StoreUnavailable
        await super().mark_queued(team, specs)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response, read."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever JSON was answered
        return orjson.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error object; fails if the answer does not have the one shape of errors."""
        assert self.status >= 400
        document = self.json
        assert document.keys() == {"error"}
        error: dict[str, Any] = document["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        assert isinstance(error["message"], str)
        assert error["message"]
        assert isinstance(error["type"], str)
        return error


@dataclass
class Api:
    """The running API and the parts it stands on."""

    parts: ApiParts
    store: WatchedJobStore
    queue: WatchedWorkQueue
    cache: RedisAnswerCache
    redis: Redis
    session: aiohttp.ClientSession
    url: str
    events: list[Event] = field(default_factory=list)

    async def call(
        self,
        method: str,
        path: str,
        key: str | None = KEY,
        body: object = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Answer:
        """Send a request; a body that is no bytes and no stream of them goes as JSON."""
        sent = dict(headers)
        if key is not None:
            sent.setdefault("authorization", f"Bearer {key}")
        if isinstance(body, dict | list):
            sent.setdefault("content-type", "application/json")
            body = orjson.dumps(body)
        if isinstance(body, bytes):
            body = io.BytesIO(body)  # aiohttp warns of large ones that are not
        async with self.session.request(method, self.url + path, headers=sent, data=body) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, key: str = KEY) -> Answer:
        return await self.call("GET", path, key)

    async def submit(self, key: str = KEY, idempotency_key: str | None = None, **fields: object) -> Answer:
        headers = {} if idempotency_key is None else {"idempotency-key": idempotency_key}
        return await self.call("POST", "/v1/jobs", key, SUBMISSION | fields, headers)

    async def post_raw(self, body: object, content_type: str = "application/json", path: str = "/v1/jobs") -> Answer:
        return await self.call("POST", path, body=body, headers={"content-type": content_type})

    async def upload(
        self,
        lines: list[bytes] | AsyncIterator[bytes],
        key: str = KEY,
        idempotency_key: str | None = None,
        query: str = "",
    ) -> Answer:
        """Send lines, or a stream of bytes, in bulk; ``query``: such as ``?webhook=…``."""
        headers = {"content-type": "application/x-ndjson"}
        if idempotency_key is not None:
            headers["idempotency-key"] = idempotency_key
        return await self.call(
            "POST", f"/v1/jobs/bulk{query}", key, b"\n".join(lines) if isinstance(lines, list) else lines, headers
        )

    async def finish(self, job_id: str, team: str = TEAM, store: JobStore | None = None) -> None:
        """Do what a worker does."""
        store = store or self.store
        job = await self.store.get(team, job_id)
        assert job is not None
        claim = await store.claim(job.spec, "worker-1")
        outcome = Outcome(JobStatus.SUCCEEDED, response=ANSWER, usage=Usage(3, 4), served_by="gpt-4o-mini-1")
        assert await store.finish(job.spec, claim.fence, outcome, ())

    async def job(self, job_id: str, team: str = TEAM) -> Job:
        job = await self.store.get(team, job_id)
        assert job is not None
        return job

    async def know_the_answer(self, spec: JobSpec, request: dict[str, Any] | None = None) -> None:
        """Put the answer to a job's request into the cache, as the worker that ran it does."""
        key = cache_key(spec, request or CHAT, self.parts.catalog.lane(spec.model))
        await self.cache.store(key, CachedAnswer(ANSWER, "gpt-4o-mini-1", Usage(10, 2)), 60.0)


@asynccontextmanager
async def running_api(redis_url: str, **changes: Any) -> AsyncIterator[Api]:  # noqa: ANN401 - each field has its type
    """Run the API on the Valkey at ``redis_url``; ``changes`` replace fields of its ``ApiParts``."""
    client = connect(redis_url)
    assert isinstance(client, Redis)
    clock = SystemClock()
    events: list[Event] = []
    queue = WatchedWorkQueue(client, clock, events.append)
    queue.published = []
    store = WatchedJobStore(client)
    cache = RedisAnswerCache(client)
    watch = RedisJobWatch(client, clock, events.append)
    api_keys = RedisApiKeys(client)
    streams = RedisAnswerStreams(client, clock, events.append)
    parts = ApiParts(
        store=store,
        queue=queue,
        cache=cache,
        feed=RedisJobFeed(client, clock, events.append),
        watch=watch,
        limits=RedisRateLimits(client),
        pauses=RedisLanePauses(client),
        outbox=RedisOutbox(client),
        webhook_endpoints=RedisWebhookEndpoints(client),
        webhook_secrets=RedisWebhookSecrets(client),
        deliveries=RedisDeliveries(client),
        answer_streams=streams,
        schedule=RedisSchedule(client),
        keyring=Keyrings((TwoTeams(), StoredKeyring(api_keys, clock))),
        api_keys=api_keys,
        allowances=RedisAllowances(client),
        catalog=CATALOG,
        clock=clock,
        emit=events.append,
        seats=Seats.of(allow_many()),
        cache_default=CachePolicy(),
        body_limit=BODY_LIMIT,
    )
    parts = replace(parts, **changes)
    await queue.open()
    await queue.declare([*CATALOG.lanes, *MAILBOXES])
    stop, ready = asyncio.Event(), asyncio.Event()
    with listen("127.0.0.1", 0) as listener:
        serving = asyncio.create_task(serve(create_app(parts), listener, stop, ready.set))
        await ready.wait()
        port = listener.getsockname()[1]
        try:
            async with aiohttp.ClientSession() as session:
                yield Api(parts, store, queue, cache, client, session, f"http://127.0.0.1:{port}", events)
        finally:
            stop.set()
            await serving
            await watch.close()
            await queue.close()
            await streams.close()
            await client.aclose()
