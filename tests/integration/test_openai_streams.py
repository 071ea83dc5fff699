"""The official ``openai`` package, unchanged, as the client of answers that come in chunks."""

import asyncio
from collections.abc import AsyncIterator

import openai
import pytest
import pytest_asyncio
from openai import AsyncStream, OpenAI
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.e2e.processes import ADMIN_KEY
from tests.eventually import eventually
from tests.integration.openai_rig import TOOL_CALLS, Desk, ask, openai_desk

pytestmark = pytest.mark.asyncio(loop_scope="module")

NO_CACHE = {"x-forebay-cache": "off"}


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


async def stream(desk: Desk, text: str, **headers: str) -> AsyncStream[ChatCompletionChunk]:
    return await desk.openai.chat.completions.create(
        model="sim", messages=ask(text), stream=True, stream_options={"include_usage": True}, extra_headers=headers
    )


async def put_together(chunks: AsyncStream[ChatCompletionChunk]) -> ChatCompletion:
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    async for chunk in chunks:
        state.handle_chunk(chunk)
    return state.get_final_completion()


def told(answer: ChatCompletion) -> dict[str, object]:
    """What an answer says; the package's helper adds fields of its own."""
    return {
        "id": answer.id,
        "model": answer.model,
        "texts": [(choice.message.role, choice.message.content, choice.finish_reason) for choice in answer.choices],
        "usage": answer.usage and answer.usage.model_dump(exclude_none=True),
    }


async def test_a_streamed_answer_is_the_whole_one(desk: Desk) -> None:
    streamed = await put_together(await stream(desk, "Twice the same", **NO_CACHE))
    whole = await desk.openai.chat.completions.create(
        model="sim", messages=ask("Twice the same"), extra_headers=NO_CACHE
    )
    assert told(streamed) == told(whole)
    assert (await desk.provider.calls_of("Twice the same"))["answered"] == 2


async def test_the_first_chunk_comes_while_the_provider_still_answers(desk: Desk) -> None:
    await desk.provider.faults("latency", seconds=1)
    chunks = aiter(await stream(desk, "A long story", **NO_CACHE))
    await anext(chunks)
    assert (await desk.provider.total())["in_flight"] == 1
    assert [chunk async for chunk in chunks][-1].usage


async def test_the_job_of_a_stream_keeps_the_whole_answer_its_usage_and_its_cost(desk: Desk) -> None:
    chunks = await stream(desk, "For the records", **NO_CACHE)
    answer = await put_together(chunks)
    job = await desk.job(chunks.response.headers["x-forebay-job-id"])
    assert told(ChatCompletion.model_validate(job["response"])) == told(answer)
    assert answer.usage is not None
    assert job["usage"]["total_tokens"] == answer.usage.total_tokens
    assert job["cost_usd"] == pytest.approx((answer.usage.prompt_tokens + 2 * answer.usage.completion_tokens) / 1e6)


async def test_streamed_and_whole_answers_share_the_cache(desk: Desk) -> None:
    first = await put_together(await stream(desk, "Known by now"))
    again = await stream(desk, "Known by now")
    assert again.response.headers["x-forebay-cache"] == "hit"
    assert told(await put_together(again)) == told(first)
    whole = await desk.openai.chat.completions.with_raw_response.create(model="sim", messages=ask("Known by now"))
    assert whole.headers["x-forebay-cache"] == "hit"
    assert told(whole.parse()) == told(first)
    assert (await desk.provider.calls_of("Known by now"))["begun"] == 1


async def test_a_provider_that_does_not_stream_is_heard_all_the_same(desk: Desk) -> None:
    async with desk.openai.chat.completions.stream(model="tools", messages=ask("Weather?")) as events:
        answer = await events.get_final_completion()
    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == [
        (call["id"], call["function"]["name"], call["function"]["arguments"]) for call in TOOL_CALLS
    ]
    assert answer.choices[0].finish_reason == "tool_calls"
    assert len(desk.asked) == 1


async def test_a_stream_that_is_closed_early_has_its_provider_call_broken_off(desk: Desk) -> None:
    await desk.provider.faults("latency", seconds=20)
    chunks = await stream(desk, "Enough of that", **NO_CACHE)
    await anext(aiter(chunks))
    await chunks.close()
    assert (await desk.provider.wait_until_idle(deadline_s=5))["aborted"] == 1
    assert (await desk.job(chunks.response.headers["x-forebay-job-id"]))["status"] == "cancelled"


async def test_a_client_that_leaves_before_the_first_chunk_has_its_provider_call_broken_off(desk: Desk) -> None:
    await desk.provider.faults("hang")
    opening = asyncio.create_task(stream(desk, "Too late", **NO_CACHE))
    await desk.provider.wait_for(in_flight=1)
    opening.cancel()
    assert (await desk.provider.wait_until_idle(deadline_s=5))["aborted"] == 1


async def test_an_answer_that_breaks_off_is_an_error_and_nothing_is_asked_twice(desk: Desk) -> None:
    await desk.provider.faults("disconnect")
    chunks = await stream(desk, "Half of it", **NO_CACHE)
    with pytest.raises(openai.APIError) as broken:
        await put_together(chunks)
    assert broken.value.code in {"stream_broken", "connection_failed"}
    job_id = chunks.response.headers["x-forebay-job-id"]

    async def has_failed() -> bool:
        return bool((await desk.job(job_id))["status"] == "failed")

    await eventually(has_failed)
    assert (await desk.provider.calls_of("Half of it"))["begun"] == 1


async def test_what_the_provider_refuses_is_an_error_with_its_status(desk: Desk) -> None:
    await desk.provider.faults("context_length_exceeded")
    with pytest.raises(openai.BadRequestError) as refused:
        await stream(desk, "Far too long")
    assert refused.value.code == "context_length_exceeded"


async def test_the_client_that_does_not_know_asyncio_streams_as_well(desk: Desk) -> None:
    def call() -> str:
        with OpenAI(base_url=f"{desk.forebay.url}/v1", api_key=ADMIN_KEY) as client:
            chunks = client.chat.completions.create(model="sim", messages=ask("In a thread"), stream=True)
            return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)

    whole = await desk.openai.chat.completions.create(model="sim", messages=ask("In a thread"), extra_headers=NO_CACHE)
    assert await asyncio.to_thread(call) == whole.choices[0].message.content
