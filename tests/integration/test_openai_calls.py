"""The official ``openai`` package, unchanged, as the client of calls that wait for their answer."""

import asyncio
import base64
from collections.abc import AsyncIterator

import openai
import pytest
import pytest_asyncio
from openai import OpenAI
from openai.types.chat import ChatCompletionToolParam

from producer_api.schemas import ChatCompletion, EmbeddingList, Model
from shared.domain.clock import SystemClock
from tests.e2e.processes import ADMIN_KEY
from tests.integration.openai_rig import TOOL_CALLS, Desk, ask, openai_desk

pytestmark = pytest.mark.asyncio(loop_scope="module")

WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with openai_desk(tmp_path_factory.mktemp("desk")) as desk:
        yield desk


@pytest_asyncio.fixture(loop_scope="module")
async def desk(one_desk: Desk) -> Desk:
    """The desk, with a provider that has no faults."""
    await one_desk.provider.reset()
    one_desk.asked.clear()
    return one_desk


async def test_a_chat_is_answered_with_the_providers_body_as_it_is(desk: Desk) -> None:
    raw = await desk.openai.chat.completions.with_raw_response.create(model="sim", messages=ask("Why is it blue?"))
    answer = raw.parse()
    assert answer.choices[0].message.content
    assert answer.model == "sim-1"
    assert ChatCompletion.model_validate(raw.http_response.json()).choices
    job = await desk.job(raw.headers["x-forebay-job-id"])
    assert job["response"] == raw.http_response.json()
    assert (job["priority"], job["status"]) == ("interactive", "succeeded")


async def test_an_answer_tells_where_it_came_from_and_what_it_cost(desk: Desk) -> None:
    create = desk.openai.chat.completions.with_raw_response.create
    first, again = [await create(model="sim", messages=ask("What does it cost?")) for _ in range(2)]
    usage = first.parse().usage
    assert usage is not None
    assert float(first.headers["x-forebay-cost-usd"]) == pytest.approx(
        (usage.prompt_tokens + 2 * usage.completion_tokens) / 1e6
    )
    assert first.headers["x-forebay-served-by"].startswith("openai/sim-1@")
    assert [(answer.headers["x-forebay-cache"], answer.headers["x-forebay-attempts"]) for answer in (first, again)] == [
        ("miss", "1"),
        ("hit", "0"),
    ]
    assert again.http_response.json() == first.http_response.json()


async def test_the_time_of_the_provider_is_no_overhead(desk: Desk) -> None:
    await desk.provider.faults("latency", seconds=0.5)
    began = SystemClock().monotonic()
    answer = await desk.openai.chat.completions.with_raw_response.create(model="sim", messages=ask("Slowly"))
    took_ms = 1_000 * (SystemClock().monotonic() - began)
    assert 0 < float(answer.headers["x-forebay-overhead-ms"]) <= took_ms - 500


async def test_tools_go_to_the_provider_and_its_calls_come_back(desk: Desk) -> None:
    answer = await desk.openai.chat.completions.create(model="tools", messages=ask("Weather?"), tools=[WEATHER])
    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    assert [call.model_dump(exclude_none=True) for call in calls] == TOOL_CALLS
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.model_extra == {"x_of_the_provider": {"kept": True}}
    assert [asked["tools"] for asked in desk.asked] == [[WEATHER]]


async def test_embeddings_come_in_the_encoding_that_was_asked_for(desk: Desk) -> None:
    texts = ["Aare", "Rhône"]
    by_default = await desk.openai.embeddings.create(model="embedder", input=texts)
    floats = await desk.openai.embeddings.create(model="embedder", input=texts, encoding_format="float")
    raw = await desk.openai.embeddings.with_raw_response.create(model="embedder", input=texts, encoding_format="base64")
    assert EmbeddingList.model_validate(raw.http_response.json()).data
    for sent, floated, plain in zip(by_default.data, floats.data, raw.http_response.json()["data"], strict=True):
        assert sent.embedding == pytest.approx(floated.embedding, abs=1e-6)
        assert len(base64.b64decode(plain["embedding"])) == 4 * len(sent.embedding)


async def test_the_client_that_does_not_know_asyncio_is_served_as_well(desk: Desk) -> None:
    def call() -> str | None:
        with OpenAI(base_url=f"{desk.forebay.url}/v1", api_key=ADMIN_KEY) as client:
            return client.chat.completions.create(model="sim", messages=ask("In a thread")).choices[0].message.content

    assert await asyncio.to_thread(call)


async def test_the_headers_of_a_call_become_the_jobs(desk: Desk) -> None:
    headers = {
        "x-forebay-priority": "bulk",
        "x-forebay-cache": "off",
        "x-forebay-project": "search",
        "x-forebay-feature": "titles",
        "x-forebay-user": "u-17",
        "x-forebay-timeout": "1m",
    }
    answer = await desk.openai.chat.completions.with_raw_response.create(
        model="sim", messages=ask("With headers"), extra_headers=headers
    )
    job = await desk.job(answer.headers["x-forebay-job-id"])
    assert (job["priority"], job["cache"]) == ("bulk", "off")
    assert job["attribution"] == {"project": "search", "feature": "titles", "user": "u-17"}


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"kind": "context_length_exceeded"}, 400, "context_length_exceeded"),
        ({"kind": "content_filter"}, 400, "content_filter"),
        ({"kind": "status", "status": 400}, 400, "invalid_request"),
        ({"kind": "insufficient_quota"}, 429, "insufficient_quota"),
        ({"kind": "status", "status": 503}, 503, "overloaded"),
        ({"kind": "status", "status": 401}, 502, "provider_authentication_failed"),
        ({"kind": "invalid_json"}, 502, "unexpected_answer"),
        ({"kind": "disconnect"}, 502, "connection_failed"),
    ],
)
async def test_a_failed_job_is_the_error_that_openai_would_give_and_is_not_repeated(
    desk: Desk, fault: dict[str, object], status: int, code: str
) -> None:
    text = f"Fail as {code}"
    await desk.provider.faults(**fault)  # type: ignore[arg-type]  # the cases name the fields
    with pytest.raises(openai.APIStatusError) as failed:
        await desk.openai.chat.completions.create(model="sim", messages=ask(text))
    assert (failed.value.status_code, failed.value.code) == (status, code)
    assert (await desk.job(failed.value.response.headers["x-forebay-job-id"]))["status"] == "failed"
    assert (await desk.provider.calls_of(text))["begun"] == 1


async def test_a_call_that_outlives_its_time_tells_its_job_which_goes_on(desk: Desk) -> None:
    text = "Takes its time"
    await desk.provider.faults("hang")
    with pytest.raises(openai.InternalServerError) as late:
        await desk.openai.chat.completions.create(
            model="sim", messages=ask(text), extra_headers={"x-forebay-timeout": "0.3"}
        )
    job_id = late.value.response.headers["x-forebay-job-id"]
    assert (late.value.status_code, late.value.code) == (504, "timeout")
    assert job_id in late.value.message
    await desk.provider.wait_for(in_flight=1)
    await desk.provider.release()
    job = await desk.forebay.client.wait_for_job(job_id)
    assert job["status"] == "succeeded"
    assert (await desk.provider.calls_of(text)) == {"begun": 1, "answered": 1}


async def test_a_client_with_a_timeout_of_its_own_learns_of_its_job_before_that(desk: Desk) -> None:
    await desk.provider.faults("hang")
    impatient = desk.openai.with_options(timeout=2.0)
    with pytest.raises(openai.InternalServerError) as late:
        await impatient.chat.completions.create(model="sim", messages=ask("Be quick"))
    assert (late.value.status_code, late.value.code) == (504, "timeout")
    assert (await desk.provider.calls_of("Be quick"))["begun"] == 1
    await desk.provider.release()


async def test_a_job_that_somebody_cancels_ends_the_call(desk: Desk) -> None:
    await desk.provider.faults("hang")
    calling = asyncio.create_task(desk.openai.chat.completions.create(model="sim", messages=ask("Cancel me")))
    await desk.provider.wait_for(in_flight=1)
    await desk.forebay.client.cancel((await desk.newest())["id"])
    with pytest.raises(openai.ConflictError) as cancelled:
        await calling
    assert cancelled.value.code == "cancelled"
    assert (await desk.provider.wait_until_idle())["aborted"] == 1


async def test_a_client_that_leaves_has_its_provider_call_broken_off(desk: Desk) -> None:
    await desk.provider.faults("hang")
    calling = asyncio.create_task(desk.openai.chat.completions.create(model="sim", messages=ask("Never mind")))
    await desk.provider.wait_for(in_flight=1)
    job = await desk.newest()
    calling.cancel()
    assert (await desk.provider.wait_until_idle())["aborted"] == 1
    assert (await desk.job(job["id"]))["status"] == "cancelled"


async def test_a_client_with_an_idempotency_key_may_leave_and_come_back_for_the_answer(desk: Desk) -> None:
    text, key = "I will be back", {"Idempotency-Key": "back-1"}
    await desk.provider.faults("hang")
    calling = asyncio.create_task(
        desk.openai.chat.completions.create(model="sim", messages=ask(text), extra_headers=key)
    )
    await desk.provider.wait_for(in_flight=1)
    calling.cancel()
    await asyncio.wait([calling])
    await desk.provider.release()
    answer = await desk.openai.chat.completions.create(model="sim", messages=ask(text), extra_headers=key)
    assert answer.choices[0].message.content
    assert await desk.provider.calls_of(text) == {"begun": 1, "answered": 1}


async def test_the_models_are_listed_and_found_by_name(desk: Desk) -> None:
    listed = [model.id async for model in desk.openai.models.list()]
    assert listed == ["embedder", "org/sim", "sim", "tools"]
    found = await desk.openai.models.retrieve("org/sim")
    assert Model.model_validate(found.model_dump()).id == "org/sim"
    with pytest.raises(openai.NotFoundError) as missing:
        await desk.openai.models.retrieve("simm")
    assert missing.value.code == "model_not_found"


async def test_a_wrong_key_is_told_as_openai_tells_it(desk: Desk) -> None:
    with pytest.raises(openai.AuthenticationError) as refused:
        await desk.openai.with_options(api_key="fb-wrong").chat.completions.create(model="sim", messages=ask("Hi"))
    assert refused.value.code == "invalid_api_key"
