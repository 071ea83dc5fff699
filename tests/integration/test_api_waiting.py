"""Clients that wait have a bounded number of seats on an API process, and one team never has all of them."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import orjson
import pytest

from producer_api.schemas import ErrorBody
from shared.domain.job import Job
from shared.domain.job_lookup import JobFilter
from shared.domain.seats import COME_AGAIN_S, Seats
from tests.eventually import eventually
from tests.integration.api_rig import CHAT, KEY, OTHER_KEY, OTHER_TEAM, TEAM, Answer, Api, running_api

PATH = "/v1/chat/completions"
SEATS = 4
OF_ONE_TEAM = SEATS // 2
STREAMED = CHAT | {"stream": True}


@pytest.fixture
async def api(valkey_url: str) -> AsyncIterator[Api]:
    async with running_api(valkey_url, seats=Seats(SEATS)) as api:
        yield api


async def submitted(api: Api, key: str = KEY) -> str:
    job_id: str = (await api.submit(key)).json["id"]
    return job_id


async def wait_for_free(api: Api, free: int) -> None:
    async def are_free() -> bool:
        return api.parts.seats.free == free

    await eventually(are_free)


async def wait_at(api: Api, job_id: str, key: str = KEY) -> list[asyncio.Task[Answer]]:
    """Have as many wait for a job as a team may."""
    free = api.parts.seats.free
    polls = [asyncio.create_task(api.get(f"/v1/jobs/{job_id}?wait=300", key)) for _ in range(OF_ONE_TEAM)]
    await wait_for_free(api, free - OF_ONE_TEAM)
    return polls


async def wait_for_published(api: Api, count: int) -> None:
    async def are_published() -> bool:
        return len(api.queue.published) == count

    await eventually(are_published)


async def jobs_of(api: Api) -> list[Job]:
    return list((await api.store.list(TEAM, JobFilter(), None, 100)).jobs)


def assert_refused(answer: Answer) -> None:
    assert (answer.status, answer.error["code"]) == (429, "too_many_waiting")
    ErrorBody.model_validate(answer.json)
    assert answer.error["type"] == "rate_limit_error"
    assert f"{OF_ONE_TEAM} clients of team {TEAM} wait" in answer.error["message"]
    assert f"may hold {SEATS} that wait" in answer.error["message"]
    assert float(answer.headers["retry-after"]) == COME_AGAIN_S
    assert answer.headers["connection"] == "close"


async def test_a_team_that_has_its_share_may_wait_in_no_way_and_all_else_is_open_to_it(api: Api) -> None:
    job_id = await submitted(api)
    polls = await wait_at(api, job_id)
    assert_refused(await api.get(f"/v1/jobs/{job_id}?wait=300"))
    assert_refused(await api.get(f"/v1/jobs/{job_id}/events"))
    assert_refused(await api.call("POST", PATH, body=CHAT))
    assert_refused(await api.call("POST", PATH, body=STREAMED))
    assert_refused(await api.call("POST", "/v1/embeddings", body={"model": "embedder", "input": "Aare"}))
    assert (await api.get(f"/v1/jobs/{job_id}")).json["status"] == "queued"
    assert (await api.get(f"/v1/jobs/{job_id}?wait=0")).json["status"] == "queued"
    await api.finish(job_id)
    assert [(await poll).json["status"] for poll in polls] == ["succeeded"] * OF_ONE_TEAM


@pytest.mark.parametrize("body", [CHAT, STREAMED])
async def test_a_refused_call_leaves_no_job_and_its_idempotency_key_is_as_new(
    api: Api, body: dict[str, object]
) -> None:
    job_id = await submitted(api)
    polls = await wait_at(api, job_id)
    headers = {"idempotency-key": "k-1"}
    assert_refused(await api.call("POST", PATH, body=body, headers=headers))
    assert [job.spec.id for job in await jobs_of(api)] == [job_id]
    assert len(api.queue.published) == 1
    await api.finish(job_id)
    await asyncio.gather(*polls)
    await wait_for_free(api, SEATS)
    calling = asyncio.create_task(api.call("POST", PATH, body=body, headers=headers))
    await wait_for_published(api, 2)
    await api.finish(api.queue.published[1].message.job_id)
    assert (await calling).status == 200


async def test_another_team_is_served_while_one_has_its_share(api: Api) -> None:
    of_the_noisy = await submitted(api)
    polls = await wait_at(api, of_the_noisy)
    job_id = await submitted(api, OTHER_KEY)
    poll = asyncio.create_task(api.get(f"/v1/jobs/{job_id}?wait=300", OTHER_KEY))
    await wait_for_free(api, SEATS - OF_ONE_TEAM - 1)
    await api.finish(job_id, OTHER_TEAM)
    assert (await poll).json["status"] == "succeeded"
    assert not any(poll.done() for poll in polls)
    await api.finish(of_the_noisy)
    await asyncio.gather(*polls)


async def test_who_asks_for_a_job_that_has_ended_needs_no_seat(api: Api) -> None:
    job_id, done = await submitted(api), await submitted(api)
    await api.finish(done)
    polls = await wait_at(api, job_id)
    assert (await api.get(f"/v1/jobs/{done}?wait=300")).json["status"] == "succeeded"
    events = await api.get(f"/v1/jobs/{done}/events")
    assert (events.status, b"event: succeeded" in events.body) == (200, True)
    assert (await api.get("/v1/jobs/job_7zzzzzzzzzzzzzzzzzzzzzzzzz?wait=300")).status == 404
    await api.finish(job_id)
    await asyncio.gather(*polls)


async def test_a_client_that_is_gone_leaves_its_seat(api: Api) -> None:
    job_id = await submitted(api)
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as clients:
        for method, path, body in (
            ("GET", f"/v1/jobs/{job_id}?wait=300", None),
            ("GET", f"/v1/jobs/{job_id}/events", None),
            ("POST", PATH, CHAT),
            ("POST", PATH, STREAMED),
        ):
            sent = None if body is None else orjson.dumps(body)
            asking = asyncio.create_task(clients.request(method, api.url + path, data=sent))
            await wait_for_free(api, SEATS - 1)
            if asking.done():  # a stream of events has begun
                asking.result().close()
            asking.cancel()
            await wait_for_free(api, SEATS)


async def test_who_was_answered_leaves_his_seat(api: Api) -> None:
    for count, body in enumerate((CHAT, STREAMED), 1):
        calling = asyncio.create_task(api.call("POST", PATH, body=body))
        await wait_for_free(api, SEATS - 1)
        await wait_for_published(api, count)
        await api.finish(api.queue.published[-1].message.job_id)
        assert (await calling).status == 200
        await wait_for_free(api, SEATS)
    assert (await api.get(f"/v1/jobs/{await submitted(api)}?wait=0.05")).json["status"] == "queued"
    await wait_for_free(api, SEATS)


async def test_a_call_that_is_refused_for_another_reason_leaves_its_seat(api: Api) -> None:
    bad = CHAT | {"model": "gpt-4o-mni"}
    for body in (bad, bad | {"stream": True}):
        for _ in range(SEATS):
            assert (await api.call("POST", PATH, body=body)).status == 404
    assert api.parts.seats.free == SEATS
