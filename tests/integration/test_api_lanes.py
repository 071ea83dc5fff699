"""The lanes in sight, over HTTP, on real parts."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from producer_api.lane_schemas import LaneList, LaneObject
from shared.adapters.redis.lane_pauses import RedisLanePauses
from shared.domain.catalog import Catalog, Lane
from shared.domain.circuit import Health
from shared.domain.lanes import CLASSES
from shared.domain.rate_limit import CallEnd, Cost, Wish
from shared.domain.reservations import Candidates, Reservation
from shared.domain.routing import ClientKind, ConfiguredLimits, Deployment
from shared.domain.tenants import Principal, Scope
from tests.eventually import eventually
from tests.integration.api_rig import CATALOG, KEY, Api, running_api

ADMIN_KEY = "fb-admin"
LIMITS = ConfiguredLimits(requests_per_minute=600, tokens_per_minute=60_000, max_parallel_requests=4)
EUROPE = Deployment("azure-eu", "azure/gpt-4o", "azure/gpt-4o", ClientKind.HTTP, region="eu", limits=LIMITS)
LANES = Catalog({**CATALOG.lanes, "azure/gpt-4o": Lane("azure/gpt-4o", (EUROPE,))}, {"gpt-4": "azure/gpt-4o"})


class Administered:
    """A keyring with an administrator and a user."""

    async def principal(self, key: str) -> Principal | None:
        return {ADMIN_KEY: Principal("ops", frozenset(Scope)), KEY: Principal("red")}.get(key)


@pytest.fixture
async def api(valkey_url: str) -> AsyncIterator[Api]:
    async with running_api(valkey_url, catalog=LANES, keyring=Administered()) as api:
        await api.queue.declare(list(LANES.lanes))
        yield api


async def seen(api: Api, path: str = "/v1/lanes/azure/gpt-4o") -> dict[str, Any]:
    answer = await api.get(path)
    assert answer.status == 200
    document: dict[str, Any] = answer.json
    LaneObject.model_validate(document)
    return document


async def test_every_lane_is_listed_with_every_class(api: Api) -> None:
    listed = (await api.get("/v1/lanes")).json
    LaneList.model_validate(listed)
    assert [lane["lane"] for lane in listed["data"]] == ["gpt-4o-mini", "embedder", "azure/gpt-4o"]
    assert list(listed["data"][0]["depth"]) == [job_class.name for job_class in CLASSES]


async def test_a_lane_shows_what_waits_and_what_its_limits_let_through(api: Api) -> None:
    for number in range(3):
        await api.submit(
            request={"model": "gpt-4", "messages": [{"role": "user", "content": f"{number}"}]}, priority="bulk"
        )

    async def all_wait() -> bool:
        return bool((await seen(api))["backlog"] == 3)

    await eventually(all_wait)
    lane = await seen(api)
    assert lane["depth"]["bulk"] == {"ready": 3, "unacknowledged": 0}
    assert lane["rate_per_second"]["requests"] == 10
    assert lane["rate_per_second"]["tokens"] == 1000
    assert 0 < lane["rate_per_second"]["jobs"] < 10
    assert lane["deployments"] == [
        {
            "id": "azure-eu",
            "model": "azure/gpt-4o",
            "region": "eu",
            "limits": {"rpm": 600, "tpm": 60_000, "itpm": None, "otpm": None, "max_parallel_requests": 4},
            "in_flight": 0,
            "utilisation": 0.0,
            "share": 1.0,
            "closed_until": None,
            "breaker": "closed",
        }
    ]


async def test_a_lane_without_limits_shows_that_nothing_is_known(api: Api) -> None:
    lane = await seen(api, "/v1/lanes/gpt-4o-mini")
    assert lane["rate_per_second"] == {"requests": None, "tokens": None, "jobs": None}
    [deployment] = lane["deployments"]
    assert (deployment["utilisation"], deployment["share"]) == (None, None)
    assert set(deployment["limits"].values()) == {None}


async def test_calls_under_way_and_a_closed_deployment_are_shown(api: Api) -> None:
    async def reserved() -> Reservation | None:
        found = await api.parts.limits.reserve(Candidates("azure/gpt-4o", (EUROPE,)), Wish("r-1", Cost()))
        return found if isinstance(found, Reservation) else None

    reservation = await eventually(reserved)
    assert reservation is not None

    async def is_busy() -> bool:
        [deployment] = (await seen(api))["deployments"]
        return bool(deployment["in_flight"] == 1 and deployment["utilisation"] == 0.25)

    await eventually(is_busy)
    await api.parts.limits.refuse(reservation, 600)

    async def is_closed() -> bool:
        [deployment] = (await seen(api))["deployments"]
        return bool(deployment["in_flight"] == 0 and deployment["closed_until"] and deployment["share"] < 1)

    await eventually(is_closed)


async def test_a_broken_deployment_is_shown_with_its_breaker(api: Api) -> None:
    async def broken() -> bool:
        for number in range(8):
            found = await api.parts.limits.reserve(Candidates("azure/gpt-4o", (EUROPE,)), Wish(f"r-{number}", Cost()))
            if isinstance(found, Reservation):
                await api.parts.limits.settle(found, Cost(), CallEnd(Health.BAD))
        [deployment] = (await seen(api))["deployments"]
        return bool(deployment["breaker"] == "open" and deployment["closed_until"])

    await eventually(broken)


async def test_an_administrator_pauses_and_resumes_a_lane_as_often_as_he_likes(api: Api) -> None:
    for verb, is_paused in (("pause", True), ("pause", True), ("resume", False), ("resume", False)):
        answer = await api.call("POST", f"/v1/lanes/azure/gpt-4o/{verb}", ADMIN_KEY)
        assert answer.status == 200
        LaneObject.model_validate(answer.json)
        assert (answer.json["lane"], answer.json["paused"]) == ("azure/gpt-4o", is_paused)
        assert ("azure/gpt-4o" in await RedisLanePauses(api.redis).paused()) is is_paused


async def test_another_name_of_a_model_pauses_the_lane_it_stands_for(api: Api) -> None:
    assert (await api.call("POST", "/v1/lanes/gpt-4/pause", ADMIN_KEY)).json["lane"] == "azure/gpt-4o"
    assert await RedisLanePauses(api.redis).paused() == {"azure/gpt-4o"}


async def test_a_paused_lane_takes_jobs_in_and_promises_no_start(api: Api) -> None:
    await api.call("POST", "/v1/lanes/azure/gpt-4o/pause", ADMIN_KEY)
    answer = await api.submit(request={"model": "gpt-4", "messages": [{"role": "user", "content": "Hi"}]}, within="10s")
    assert answer.status == 202
    assert answer.json["estimated_start_at"] is None


async def test_who_is_no_administrator_may_look_and_not_pause(api: Api) -> None:
    await seen(api)
    for verb in ("pause", "resume"):
        answer = await api.call("POST", f"/v1/lanes/azure/gpt-4o/{verb}", KEY)
        assert (answer.status, answer.error["code"]) == (403, "not_allowed")
    assert await RedisLanePauses(api.redis).paused() == frozenset()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/lanes"),
        ("GET", "/v1/lanes/embedder"),
        ("POST", "/v1/lanes/embedder/pause"),
        ("POST", "/v1/lanes/embedder/resume"),
    ],
)
async def test_nothing_is_shown_or_done_without_a_key(api: Api, method: str, path: str) -> None:
    assert (await api.call(method, path, None)).status == 401


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/lanes/embeder"), ("POST", "/v1/lanes/embeder/pause")])
async def test_a_lane_that_is_not_there_is_not_found_and_the_likeliest_is_named(
    api: Api, method: str, path: str
) -> None:
    answer = await api.call(method, path, ADMIN_KEY)
    assert (answer.status, answer.error["code"]) == (404, "not_found")
    assert "`embedder`" in answer.error["message"]
