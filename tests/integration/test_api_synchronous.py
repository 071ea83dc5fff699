"""What a synchronous call is told before its job is queued, and when what it waits on goes away."""

import asyncio
import gc

import aiohttp
import orjson
import pytest

from producer_api.drafts import Arrival, Draft
from producer_api.server import SHUTDOWN_GRACE_S
from shared.domain.errors import FilesUnavailable, StoreUnavailable, Unavailable
from shared.domain.job import Job, JobSpec, JobStatus
from shared.domain.job_lookup import JobFilter
from shared.domain.lanes import Priority
from tests.eventually import eventually
from tests.integration.api_rig import ANSWER, CHAT, KEY, TEAM, Api, running_api

PATH = "/v1/chat/completions"
JSON = {"content-type": "application/json"}
WAITED_FOR = "waited for " * 100
LARGE = [{"role": "user", "content": WAITED_FOR}]


def spec() -> JobSpec:
    return JobSpec("job_of_another", TEAM, PATH, "gpt-4o-mini", "gpt-4o-mini", Priority.STANDARD, 1.0)


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (CHAT | {"model": "gpt-4o-mni"}, 404, "model_not_found", "model"),
        (CHAT | {"messages": [{"role": "user"}]}, 400, "invalid_request", "messages[0].content"),
        (CHAT | {"stream": "yes"}, 400, "invalid_request", "stream"),
        ([], 400, "invalid_json", None),
    ],
)
async def test_a_bad_call_is_refused_with_the_place_in_its_body(
    api: Api, body: object, status: int, code: str, param: str | None
) -> None:
    answer = await api.call("POST", PATH, body=body)
    assert (answer.status, answer.error["code"], answer.error["param"]) == (status, code, param)
    assert "request." not in answer.error["message"]
    assert api.queue.published == []


async def test_a_body_that_is_nested_too_deeply_is_refused(api: Api) -> None:
    deep = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"x"}],"deep":%b%b}'
    answer = await api.post_raw(deep % (b"[" * 900, b"]" * 900), path=PATH)
    assert (answer.status, answer.error["param"]) == (400, None)
    assert "The body is nested" in answer.error["message"]


@pytest.mark.parametrize("name", ["x-forebay-tags", "x-forebay-tier", "x-forebay-timeout"])
async def test_a_header_that_would_be_ignored_is_refused(api: Api, name: str) -> None:
    answer = await api.call("POST", PATH, body=CHAT, headers={name: "doc:7"})
    assert (answer.status, answer.error["param"]) == (400, name)
    assert api.queue.published == []


async def test_a_call_without_a_key_is_refused_before_anything_is_read(api: Api) -> None:
    answer = await api.call("POST", PATH, None, body=[])
    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")


async def test_a_known_answer_comes_at_once_and_is_kept_as_a_job(api: Api) -> None:
    await api.know_the_answer(spec())
    answer = await api.call("POST", PATH, body=CHAT)
    assert (answer.status, answer.json) == (200, ANSWER)
    assert (answer.headers["x-forebay-cache"], answer.headers["x-forebay-cost-usd"]) == ("hit", "0")
    job = await api.job(answer.headers["x-forebay-job-id"])
    assert job.status is JobStatus.SUCCEEDED
    assert api.queue.published == []


async def test_a_call_that_asks_for_a_refresh_takes_no_known_answer(api: Api) -> None:
    await api.know_the_answer(spec())
    headers = {"x-forebay-cache": "refresh", "x-forebay-timeout": "0.05"}
    answer = await api.call("POST", PATH, body=CHAT, headers=headers)
    assert answer.status == 504
    assert len(api.queue.published) == 1


async def test_a_broker_that_is_away_is_told_as_to_any_other_job(api: Api) -> None:
    api.queue.away_after = 0
    answer = await api.call("POST", PATH, body=CHAT)
    assert (answer.status, answer.error["code"]) == (503, "service_unavailable")
    assert answer.headers["retry-after"]
    assert "x-should-retry" not in answer.headers


async def newest(api: Api) -> Job:
    return (await api.store.list(TEAM, JobFilter(), None, 1)).jobs[0]


async def wait_until_awaited(api: Api) -> None:
    async def is_awaited() -> bool:
        return api.store.readings > 0

    await eventually(is_awaited)


@pytest.mark.parametrize("body", [CHAT, CHAT | {"stream": True}])
async def test_a_stopping_server_tells_who_waits_that_the_job_goes_on(valkey_url: str, body: dict[str, object]) -> None:
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession(headers={"authorization": f"Bearer {KEY}"}) as session:
        async with running_api(valkey_url) as api:
            calling = asyncio.create_task(session.post(api.url + PATH, json=body))
            await wait_until_awaited(api)
            began = loop.time()
        answer = await calling
        assert loop.time() - began < SHUTDOWN_GRACE_S  # then they would have been cut off
        error, job_id = (await answer.json())["error"], answer.headers["x-forebay-job-id"]
        assert (answer.status, error["code"], answer.headers["x-should-retry"]) == (504, "timeout", "false")
        assert job_id in error["message"]
        assert "10m" not in error["message"]
    async with running_api(valkey_url) as api:
        assert not (await api.job(job_id)).status.is_final


@pytest.mark.parametrize("why", [StoreUnavailable, FilesUnavailable])
@pytest.mark.parametrize("body", [CHAT, CHAT | {"stream": True}])
async def test_a_store_that_is_away_once_the_job_was_let_in_is_waited_for(
    api: Api, body: dict[str, object], why: type[Unavailable], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producer_api.results.LOOK_AGAIN_S", 0.02)
    api.store.unreadable_for = why
    calling = asyncio.create_task(api.call("POST", PATH, body=body))
    await wait_until_awaited(api)
    api.store.unreadable_for = None
    await api.finish((await newest(api)).spec.id)
    answer = await calling
    assert answer.status == 200
    assert b"Aare." in answer.body
    assert len(api.queue.published) == 1


@pytest.mark.parametrize("why", [StoreUnavailable, FilesUnavailable])
@pytest.mark.parametrize("body", [CHAT, CHAT | {"stream": True}])
async def test_a_store_that_stays_away_is_told_as_a_job_that_goes_on(
    api: Api, body: dict[str, object], why: type[Unavailable]
) -> None:
    api.store.unreadable_for = why
    answer = await api.call("POST", PATH, body=body, headers={"x-forebay-timeout": "0.1"})
    assert (answer.status, answer.error["code"], answer.headers["x-should-retry"]) == (504, "timeout", "false")
    api.store.unreadable_for = None
    assert not (await api.job(answer.headers["x-forebay-job-id"])).status.is_final


@pytest.mark.parametrize("body", [CHAT, CHAT | {"stream": True}])
async def test_who_waits_holds_nothing_of_what_he_asked(api: Api, body: dict[str, object]) -> None:
    api.queue.keeps = False
    calling = asyncio.create_task(api.call("POST", PATH, body=orjson.dumps(body | {"messages": LARGE}), headers=JSON))
    await wait_until_awaited(api)

    async def is_forgotten() -> bool:
        gc.collect()
        return not any(map(_is_of_a_request, gc.get_objects()))

    await eventually(is_forgotten, within_s=5)
    await api.finish((await newest(api)).spec.id)
    assert (await calling).status == 200


def _is_of_a_request(held: object) -> bool:
    """Tell whether it is a submission of these that arrived, or a request of these that was read."""
    if isinstance(held, Arrival):
        return WAITED_FOR.encode() in held.body
    request = held.request if isinstance(held, Draft) else held
    return type(request) is dict and request.get("messages") == LARGE


async def test_another_body_under_the_same_idempotency_key_is_a_conflict(api: Api) -> None:
    headers = {"idempotency-key": "once", "x-forebay-timeout": "0.05"}
    first = await api.call("POST", PATH, body=CHAT, headers=headers)
    again = await api.call("POST", PATH, body=CHAT, headers=headers)
    other = await api.call("POST", PATH, body=CHAT | {"seed": 1}, headers=headers)
    assert (first.status, again.status, other.status) == (504, 504, 409)
    assert first.headers["x-forebay-job-id"] == again.headers["x-forebay-job-id"]
    assert len(api.queue.published) == 1


async def test_a_key_needs_both_to_submit_and_to_read(api: Api) -> None:
    body = {"team": TEAM, "scopes": ["submit"]}
    made = await api.call("POST", "/v1/keys", "fb-admin", body)
    answer = await api.call("POST", PATH, made.json["key"], CHAT)
    assert answer.status == 403
    assert "`read`" in answer.error["message"]
    assert KEY not in answer.error["message"]
