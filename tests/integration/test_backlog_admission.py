"""Whether there is room for a job, and when it will have its turn; over HTTP, on real parts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from shared.adapters.redis.connection import connect
from shared.adapters.redis.rate_limits import RedisRateLimits
from shared.domain.backlog import BacklogPolicy
from shared.domain.catalog import Catalog, Lane
from shared.domain.errors import StoreUnavailable
from shared.domain.lanes import CLASSES, QueueName
from shared.domain.limit_state import LimitState
from shared.domain.routing import ClientKind, ConfiguredLimits, Deployment
from shared.wire import envelope
from shared.wire.moments import parse_moment
from tests.eventually import eventually
from tests.integration.api_rig import ADMIN_KEY, CHAT, OTHER_KEY, SUBMISSION, Answer, Api, running_api
from tests.integration.test_api_jobs import in_the

ONE_A_SECOND = ConfiguredLimits(requests_per_minute=60)


def lanes(limits: ConfiguredLimits) -> Catalog:
    deployment = Deployment("d1", "gpt-4o-mini", "openai/gpt-4o-mini", ClientKind.HTTP, limits=limits)
    return Catalog({"gpt-4o-mini": Lane("gpt-4o-mini", (deployment,))})


@asynccontextmanager
async def seeing(valkey_url: str, policy: BacklogPolicy, limits: ConfiguredLimits = ONE_A_SECOND) -> AsyncIterator[Api]:
    """An API that has looked at its lane, so that no submission goes on without; nobody works, so what is sent stays."""
    async with running_api(valkey_url, catalog=lanes(limits), backlog=policy) as api:
        assert (await api.get("/v1/lanes", ADMIN_KEY)).status == 200
        yield api


@pytest.fixture
async def api(valkey_url: str) -> AsyncIterator[Api]:
    """A lane that starts one job a second."""
    async with seeing(valkey_url, BacklogPolicy(surplus_after=10_000, largest_after=10_000)) as api:
        yield api


def line(number: int, **fields: object) -> bytes:
    question = CHAT | {"messages": [{"role": "user", "content": f"Question {number}"}]}
    return orjson.dumps(SUBMISSION | {"request": question} | fields)


async def fill(api: Api, jobs: int, **fields: object) -> None:
    """Send so many jobs in, by another team."""
    answer = await api.upload([line(number, **fields) for number in range(jobs)], OTHER_KEY)
    assert answer.json["accepted"] == jobs


async def submit(api: Api, **fields: object) -> Answer:
    return await api.submit(**{"cache": {"mode": "off"}} | fields)  # type: ignore[arg-type]  # the tests name the fields


def starts_in(api: Api, job: dict[str, Any]) -> float:
    return parse_moment(job["estimated_start_at"]) - api.parts.clock.now()


async def test_a_job_is_told_when_it_is_expected_to_start(api: Api) -> None:
    await fill(api, 100)
    answer = await submit(api)
    assert answer.status == 202
    assert starts_in(api, answer.json) == pytest.approx(100, abs=10)
    record = await api.job(answer.json["id"])
    carried = envelope.decode(api.queue.published[-1].message.body)
    assert carried.spec == record.spec
    assert record.spec.estimated_start_at == pytest.approx(parse_moment(answer.json["estimated_start_at"]), abs=0.01)


async def test_the_estimate_goes_with_the_class_and_the_share_of_the_team(valkey_url: str) -> None:
    async with seeing(valkey_url, BacklogPolicy(largest_after=100)) as api:
        await fill(api, 200, priority="bulk")
        interactive = await submit(api, priority="interactive")
        quiet = await submit(api, priority="bulk")
        noisy = await submit(api, priority="bulk", key=OTHER_KEY)
        assert starts_in(api, interactive.json) < 5
        assert starts_in(api, quiet.json) == pytest.approx(100, abs=15)
        assert starts_in(api, noisy.json) == pytest.approx(200, abs=15)


class SlowLimits(RedisRateLimits):
    """The real limits, seen only when the test lets it."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis)
        self.let = asyncio.Event()

    async def look(self, lane: str, deployments: tuple[Deployment, ...]) -> tuple[LimitState, ...]:
        await self.let.wait()
        return await super().look(lane, deployments)


async def test_what_came_before_the_lane_could_be_seen_is_counted_all_the_same(valkey_url: str) -> None:
    client = connect(valkey_url)
    assert isinstance(client, Redis)
    limits = SlowLimits(client)
    policy = BacklogPolicy(surplus_after=10_000, largest_after=10_000)
    async with running_api(valkey_url, catalog=lanes(ONE_A_SECOND), limits=limits, backlog=policy) as api:
        unknown = await submit(api)
        assert (unknown.status, unknown.json["estimated_start_at"]) == (202, None)
        await fill(api, 200)
        limits.let.set()

        async def told() -> float | None:
            job = (await submit(api)).json
            return starts_in(api, job) if job["estimated_start_at"] else None

        assert await eventually(told) == pytest.approx(200, abs=20)
    await client.aclose()


async def test_the_estimate_is_shown_until_the_job_has_started(api: Api) -> None:
    made = (await submit(api)).json
    assert (await api.get(f"/v1/jobs/{made['id']}")).json["estimated_start_at"] == made["estimated_start_at"]
    await api.store.claim((await api.job(made["id"])).spec, "worker-1")
    assert (await api.get(f"/v1/jobs/{made['id']}")).json["estimated_start_at"] is None


async def test_a_job_for_later_is_expected_at_its_time_or_after_the_backlog(api: Api) -> None:
    await fill(api, 120)
    soon = await submit(api, run_at=in_the(timedelta(seconds=30)))
    late = await submit(api, run_at=in_the(timedelta(seconds=600)))
    assert starts_in(api, soon.json) == pytest.approx(120, abs=15)
    assert starts_in(api, late.json) == pytest.approx(600, abs=15)


@pytest.mark.hazard(37)
async def test_a_deadline_that_cannot_be_met_is_refused_with_the_projected_finish(api: Api) -> None:
    await fill(api, 300)
    refused = await submit(api, within="2m")
    assert refused.status == 429
    assert (refused.error["type"], refused.error["code"]) == ("rate_limit_error", "deadline_cannot_be_met")
    assert 1 <= int(refused.headers["retry-after"]) <= 120
    said = refused.error["message"]
    finish = parse_moment(said.partition("would be done at ")[2].partition("Z")[0] + "Z")
    assert finish - api.parts.clock.now() == pytest.approx(300, abs=15)
    assert "300 jobs are ahead" in said
    assert (await submit(api, within="10m")).status == 202
    assert (await submit(api, priority="interactive", within="2m")).status == 202


async def test_a_refused_job_leaves_nothing_behind(api: Api) -> None:
    await fill(api, 300)
    assert (await submit(api, within="2m")).status == 429
    assert (await api.get("/v1/jobs")).json["data"] == []
    assert len(api.queue.published) == 300


async def test_deferrable_work_is_refused_only_when_it_is_clearly_too_late(valkey_url: str) -> None:
    async with seeing(valkey_url, BacklogPolicy(), ConfiguredLimits(requests_per_minute=6)) as api:
        await fill(api, 300, priority="bulk")
        assert (await submit(api, priority="deferrable", within="61m")).status == 202
        hourly = [line(number, priority="deferrable", within="61m") for number in range(400)]
        assert 300 < (await api.upload(hourly, OTHER_KEY)).json["accepted"] < 400
        refused = await submit(api, priority="deferrable", within="60m1s")
        assert (refused.status, refused.error["code"]) == (429, "deadline_cannot_be_met")
        assert (await submit(api, priority="deferrable", within="25h")).status == 202


async def test_bulk_lines_are_refused_each_by_itself(api: Api) -> None:
    await fill(api, 100)
    lines = [line(1, within="10s"), line(2), line(3, within="10s", priority="interactive")]
    answer = (await api.upload(lines)).json
    assert answer["accepted"] == 2
    [rejected] = answer["rejected"]
    assert (rejected["line"], rejected["error"]["code"]) == (1, "deadline_cannot_be_met")


async def test_a_lane_whose_pace_is_not_known_gives_no_estimate_and_refuses_no_deadline(valkey_url: str) -> None:
    async with running_api(valkey_url) as api:
        await fill(api, 300)
        answer = await submit(api, within="1s")
        assert answer.status == 202
        assert answer.json["estimated_start_at"] is None


@pytest.mark.hazard(37)
async def test_a_queue_does_not_grow_without_end(valkey_url: str) -> None:
    """Filled, it refuses with the projected finish, until there is room again."""
    async with seeing(valkey_url, BacklogPolicy(max_jobs=50)) as api:
        uploaded = (await api.upload([line(number) for number in range(400)])).json
        assert uploaded["accepted"] == 50
        assert {rejected["error"]["code"] for rejected in uploaded["rejected"]} == {"backlog_full"}

        for priority in ("interactive", "standard", "bulk", "deferrable"):
            refused = await submit(api, priority=priority)
            assert (refused.status, refused.error["code"]) == (429, "backlog_full")
            assert refused.error["type"] == "rate_limit_error"
            assert 1 <= int(refused.headers["retry-after"]) <= 120
            assert "would be done at 20" in refused.error["message"]
            assert "`forebay.backlog.max_jobs`" in refused.error["message"]
        assert await waiting(api) == 50

        await work_off(api, 10)

        async def there_is_room() -> bool:
            return (await submit(api)).status == 202

        await eventually(there_is_room)


async def test_an_answer_from_the_cache_needs_no_room(valkey_url: str) -> None:
    async with seeing(valkey_url, BacklogPolicy(max_jobs=1)) as api:
        first = await api.job((await api.submit()).json["id"])
        assert (await submit(api)).status == 429
        await api.know_the_answer(first.spec)
        assert (await api.submit()).status == 200


async def test_a_job_that_was_accepted_is_given_again_though_there_is_no_room_any_more(valkey_url: str) -> None:
    async with seeing(valkey_url, BacklogPolicy(max_jobs=1)) as api:
        first = await api.submit(idempotency_key="k-1")
        assert (await api.submit(idempotency_key="k-2")).status == 429
        again = await api.submit(idempotency_key="k-1")
        assert (again.status, again.json["id"]) == (202, first.json["id"])
        conflict = await api.submit(idempotency_key="k-1", priority="bulk")
        assert conflict.status == 409


async def test_what_was_let_in_by_half_when_the_store_went_away_takes_no_room(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise StoreUnavailable

    async with seeing(valkey_url, BacklogPolicy(max_jobs=5)) as api:
        with monkeypatch.context() as outage:
            outage.setattr(api.store, "earlier", away)
            assert (await api.upload([line(number) for number in range(8)], idempotency_key="k")).status == 503
        for number in range(5):
            assert (await api.submit(request=CHAT | {"seed": number})).status == 202


async def test_tokens_that_are_short_make_the_wait_longer(valkey_url: str) -> None:
    by_tokens = ConfiguredLimits(requests_per_minute=6_000, tokens_per_minute=60_000)
    async with seeing(valkey_url, BacklogPolicy(), by_tokens) as api:
        request = CHAT | {"max_tokens": 1_000}
        for _ in range(20):
            answer = await submit(api, request=request)
        assert starts_in(api, answer.json) == pytest.approx(20, abs=6)


async def waiting(api: Api) -> int:
    depths = [await api.queue.depth(QueueName("gpt-4o-mini", job_class)) for job_class in CLASSES]
    return sum(depth.ready + depth.unacknowledged for depth in depths)


async def work_off(api: Api, jobs: int) -> None:
    """Take jobs out of the queues, as workers do."""
    intake = api.queue.intake("gpt-4o-mini", api.parts.weights, 10)
    for _ in range(jobs):
        delivery = await intake.take()
        await delivery.ack()
    await intake.close()
