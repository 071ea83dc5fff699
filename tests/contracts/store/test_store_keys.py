"""Every key of a script is declared, and all of them share a hash slot: seen on the wire and inside the server."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.crc import key_slot

from shared.adapters.redis import scripts
from shared.adapters.redis.allowances import RedisAllowances
from shared.adapters.redis.answer_cache import RedisAnswerCache
from shared.adapters.redis.api_keys import RedisApiKeys
from shared.adapters.redis.deliveries import RedisDeliveries
from shared.adapters.redis.job_store import RedisJobStore
from shared.adapters.redis.job_upkeep import RedisJobUpkeep
from shared.adapters.redis.keys import answer, of_team, worker_lease
from shared.adapters.redis.outbox import RedisOutbox
from shared.adapters.redis.provider_changes import RedisProviderChanges
from shared.adapters.redis.rate_limits import RedisRateLimits
from shared.adapters.redis.schedule import RedisSchedule
from shared.adapters.redis.scripts import Script
from shared.adapters.redis.webhook_endpoints import RedisWebhookEndpoints
from shared.adapters.redis.webhook_secrets import RedisWebhookSecrets
from shared.domain.allowances import Allowance, Charge, Charged, OverLimit, owners_of
from shared.domain.answer_cache import CachedAnswer, CacheKey
from shared.domain.api_keys import ApiKey
from shared.domain.callbacks import ReplyReport, ReplyStatus
from shared.domain.circuit import Health
from shared.domain.clock import SystemClock
from shared.domain.job import Attribution, JobSpec, JobStatus
from shared.domain.job_intake import NewJob
from shared.domain.job_lookup import JobFilter
from shared.domain.lanes import JobClass
from shared.domain.provider_changes import ProviderChange, ProviderStatus, never_down
from shared.domain.rate_limit import CallEnd, Cost, Wish
from shared.domain.reservations import Candidates, Reservation, Wait
from shared.domain.routing import ClientKind, ConfiguredLimits, Deployment
from shared.domain.schedule import Beginning, Firing, PlannedDuty, Result
from shared.domain.usage import Usage
from shared.domain.webhook_deliveries import DeliveryAttempt, DeliveryFilter, Turn
from shared.domain.webhook_endpoints import Failing
from shared.domain.webhook_schedule import DeliveryStatus, Ruling
from tests.contracts.store.examples import (
    ATTEMPT,
    CREATED_AT,
    FAILURE,
    SUCCESS,
    TEAM,
    a_batch,
    a_spec,
    claimed,
    finished,
    new,
)
from tests.contracts.store.servers import StoreServer
from tests.contracts.store.webhook_examples import a_delivery, an_endpoint
from tests.eventually import eventually

_END = "the end of the test"
_NO_KEYS = {"TIME", "PUBLISH"}


@pytest.fixture
async def server_client(private_server: StoreServer) -> AsyncIterator[Redis]:
    client = Redis(port=private_server.port)
    await client.flushdb()
    yield client
    await client.aclose()


def with_a_key(spec: JobSpec) -> JobSpec:
    return replace(spec, idempotency_key=spec.id)


def counted(job: NewJob) -> NewJob:
    return replace(job, counted_in=JobClass("bulk"))


async def _do_everything(client: Redis) -> None:
    brief, store = RedisJobStore(client, retention_s=0.001), RedisJobStore(client)
    await brief.accept([new(a_spec(), outcome=SUCCESS)])  # for the others to sweep away
    await store.open_batch(a_batch())
    run, released, cancelled, at_once = (with_a_key(a_spec(batch_id="batch_1")) for _ in range(4))
    alone, stranded = with_a_key(a_spec()), a_spec()
    await store.accept([counted(new(spec, key=spec.id)) for spec in (run, released, cancelled, alone)])
    await store.accept([new(run, key=run.id), new(a_spec(), key=run.id, digest="d2"), new(at_once, outcome=SUCCESS)])
    await store.accept([new(stranded)])
    await store.mark_queued(TEAM, [run, released, cancelled, alone])
    await store.release(released, (await claimed(store, released)).fence, (ATTEMPT,))
    await store.finish(alone, (await claimed(store, alone)).fence, SUCCESS, (ATTEMPT,))
    await store.finish(run, (await claimed(store, run)).fence, SUCCESS, (ATTEMPT,))
    await store.cancel(TEAM, cancelled.id)
    withdrawn = with_a_key(a_spec(batch_id="batch_1"))
    await store.accept([new(withdrawn)])
    await store.withdraw(TEAM, withdrawn.id)
    await store.note_broken(cancelled, (ATTEMPT,))
    await store.note_reply(TEAM, alone.id, ReplyReport(ReplyStatus.DELIVERED, CREATED_AT))
    await _revive(store)
    await store.finish(a_spec(batch_id="batch_1"), 7, SUCCESS, (ATTEMPT,))
    await store.list(TEAM, JobFilter(), None, 2)
    await store.list(TEAM, JobFilter(batch_id="batch_1", status=JobStatus.SUCCEEDED), None, 2)
    await store.close_batch(TEAM, "batch_1")
    await store.stranded(0.0, 10)
    await _use_limits(RedisRateLimits(client))
    await _use_allowances(RedisAllowances(client))
    await RedisOutbox(client).overdue(0.0, 10)
    await _send_webhooks(client)
    await _keep_a_schedule(RedisSchedule(client))
    await _keep_jobs(store, RedisJobUpkeep(client))
    keys = RedisApiKeys(client)
    await keys.add(ApiKey("key_1", TEAM, "fb-…", CREATED_AT), "a hash")
    await keys.page(TEAM, None, 10)


async def _send_webhooks(client: Redis) -> None:
    """Every step of a webhook's endpoint, its secrets and a delivery; an older one is swept away."""
    endpoints, secrets, deliveries = RedisWebhookEndpoints(client), RedisWebhookSecrets(client), RedisDeliveries(client)
    for name in ("we_1", "we_2"):
        assert await endpoints.add(an_endpoint(name))
    await endpoints.rotate(TEAM, "we_1", CREATED_AT)
    await endpoints.note_failing(TEAM, "we_1", Failing(CREATED_AT, CREATED_AT))
    assert await endpoints.disable(TEAM, "we_1", "a reason", CREATED_AT)
    await endpoints.enable(TEAM, "we_1")
    await endpoints.remove(TEAM, "we_1")
    await secrets.rotate(TEAM, CREATED_AT)
    await RedisDeliveries(client, kept_s=0.001).begin([a_delivery("job_0")])
    [delivery] = await deliveries.begin([a_delivery("job_1")])
    await deliveries.note_queued(delivery.due)
    assert (await deliveries.claim(delivery.due, CREATED_AT, 9.0)).turn is Turn.GRANTED
    attempt = DeliveryAttempt(CREATED_AT, 200, None, 0.1)
    assert await deliveries.note(delivery, attempt, Ruling(DeliveryStatus.DELIVERED))
    await deliveries.begin_anew(TEAM, delivery.id, CREATED_AT)
    await deliveries.page(TEAM, DeliveryFilter(), None, 10)
    await deliveries.overdue(CREATED_AT + 1.0, 10)
    await deliveries.forget(10)
    changes, was = RedisProviderChanges(client), never_down("a lane", "d1")
    down = ProviderChange("a lane", "d1", ProviderStatus.DOWN, CREATED_AT)
    assert await changes.note(was, down)
    assert await changes.tell(down)


async def _keep_a_schedule(schedule: RedisSchedule) -> None:
    """A scheduler takes the lead, fires once, and stops."""
    term = await schedule.lead("a", 30.0)
    assert term is not None
    firing = Firing("a duty", SystemClock().now(), "at all times")
    await schedule.publish("a", term, [PlannedDuty("a duty", "at all times", None)])
    assert await schedule.begin("a", term, firing) is Beginning.BEGUN
    await schedule.end(term, firing, Result())
    await schedule.look()
    await schedule.resign("a")


async def _keep_jobs(store: RedisJobStore, upkeep: RedisJobUpkeep) -> None:
    """A job of a batch and one alone pass their deadlines."""
    await store.accept([counted(new(a_spec(batch_id=batch_id, deadline=1.0))) for batch_id in ("batch_1", None)])
    assert len(await upkeep.expire(9)) >= 2
    await upkeep.close_to_deadline(60.0, 9)
    await upkeep.forget(9)
    await store.accept([new(a_spec())])
    await upkeep.pass_over(await store.stranded(0.0, 9))
    await store.open_batch(a_batch("batch_2"))
    assert [batch.batch_id for batch in await upkeep.seal(9, lease_s=0.0)] == ["batch_2"]


async def _revive(store: RedisJobStore) -> None:
    failed = a_spec(batch_id="batch_1")
    await store.accept([new(failed)])
    await finished(store, failed, FAILURE)
    await store.revive(failed, b"message")
    await finished(store, failed, FAILURE)


async def _use_limits(limits: RedisRateLimits) -> None:
    """Every step of the limits, on a lane of two deployments."""
    wide = ConfiguredLimits(requests_per_minute=6_000_000, max_parallel_requests=9)
    pair = tuple(Deployment(name, "a lane", "openai/m", ClientKind.HTTP, limits=wide) for name in ("d1", "d2"))

    async def reserve() -> Reservation | None:
        answer = await limits.reserve(Candidates("a lane", pair), Wish("first", Cost()))
        return None if isinstance(answer, Wait) else answer

    taken = await eventually(reserve)
    assert taken is not None
    await limits.renew(taken)
    await limits.settle(taken, Cost(), CallEnd(Health.GOOD))
    await limits.refuse(taken, 1.0)
    await limits.look("a lane", pair)


async def _use_allowances(allowances: RedisAllowances) -> None:
    """A charge to everyone who can be charged, and its settlement; and one that is refused."""
    spec, other = (a_spec(key_id="key_1", attribution=Attribution("p", "a feature", "a user")) for _ in range(2))
    one = Allowance(requests_per_minute=1, tokens_per_day=9)
    owners = tuple((owner, one) for owner in owners_of(spec))
    charges = [Charge(job, owners, one, (1.0, 9.0), idempotency_key="k") for job in (spec, other)]
    assert [type(answer) for answer in await allowances.take(charges)] == [Charged, OverLimit]
    await allowances.settle(spec, (1.0, 5.0))


async def _watched(client: Redis) -> list[tuple[bool, list[str]]]:
    """Do everything under the server's eyes; give whether each command came from a script, and its words."""
    seen: list[tuple[bool, list[str]]] = []
    async with client.monitor() as monitor:
        doing = asyncio.create_task(_do_everything(client))
        doing.add_done_callback(lambda _: finish.set())
        finish = asyncio.Event()

        async def say_when_done() -> None:
            await finish.wait()
            await client.echo(_END)

        ending = asyncio.create_task(say_when_done())
        while True:
            command = await monitor.next_command()
            if _END in command["command"]:
                break
            seen.append((command["client_type"] == "lua", command["command"].split(" ")))
        await ending
        await doing
    return seen


def _all_scripts() -> dict[str, str]:
    return {value.sha: value.name for value in vars(scripts).values() if isinstance(value, Script)}


@pytest.mark.hazard(13)
async def test_keys_of_one_script_share_a_slot(server_client: Redis) -> None:
    calls = [words for is_lua, words in await _watched(server_client) if not is_lua and words[0].startswith("EVAL")]
    known = _all_scripts()
    assert {known[words[1]] for words in calls if words[0] == "EVALSHA"} == set(known.values())
    for words in (words for words in calls if words[0] == "EVALSHA"):
        keys = words[3 : 3 + int(words[2])]
        assert keys
        assert len({key_slot(key.encode()) for key in keys}) == 1, (known[words[1]], keys)


@pytest.mark.hazard(13)
async def test_a_script_touches_only_the_keys_it_declares(server_client: Redis) -> None:
    await _do_everything(server_client)  # teaches the server all scripts, so that each call is an EVALSHA
    await server_client.flushdb()
    declared: set[str] = set()
    touched = 0
    for is_lua, words in await _watched(server_client):
        if words[0] == "EVALSHA":
            declared = set(words[3 : 3 + int(words[2])])
        elif is_lua and words[0] not in _NO_KEYS:
            assert words[1] in declared, words
            touched += 1
    assert touched > 100


async def test_all_keys_of_a_cached_answer_of_a_team_share_its_slot(server_client: Redis) -> None:
    cache = RedisAnswerCache(server_client)
    keys = [CacheKey(TEAM, f"f{number}") for number in range(5)]
    for key in keys:
        await cache.store(key, CachedAnswer({}, "d", Usage(1)), 60)
    assert len({key_slot(answer(key).encode()) for key in keys}) == 1
    assert key_slot(answer(keys[0]).encode()) == key_slot(of_team(TEAM).index.encode())


@given(st.text(), st.text(), st.text())
def test_no_name_of_a_team_escapes_its_hash_tag(team: str, job_id: str, batch_id: str) -> None:
    keys = of_team(team).of_job(job_id, batch_id)
    encoded = [key.encode(errors="surrogatepass") for key in keys]
    assert len({key_slot(key) for key in encoded}) == 1


@given(st.text(), st.text(), st.text(), st.text())
def test_no_two_teams_share_a_key(team: str, other: str, one_id: str, other_id: str) -> None:
    one = {*of_team(team).of_job(one_id, one_id), worker_lease(one_id), answer(CacheKey(team, one_id))}
    same = {*of_team(other).of_job(other_id, other_id), answer(CacheKey(other, other_id))}
    assert team == other or not one & same
