"""Streamed answers as the API hands them on, the worker's part being played by the tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import openai
import orjson
import pytest
from openai import AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletionChunk

from producer_api.app import create_app
from producer_api.server import SHUTDOWN_GRACE_S
from shared.adapters.redis.answer_streams import RedisAnswerStreams
from shared.domain.answer_streams import AnswerWriter
from shared.domain.job import Envelope, JobError, JobSpec, JobStatus, Outcome
from shared.domain.lanes import Priority
from shared.wire.envelope import decode
from tests.eventually import eventually
from tests.integration.api_rig import ANSWER, CHAT, KEY, TEAM, Api, running_api
from tests.integration.openai_rig import ask


def chunk(text: str, finish_reason: str | None = None, **members: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}
    made = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m-1", "choices": [choice]}
    return orjson.dumps(made | members)


@dataclass
class Theatre:
    """The API, a client, and what a test needs to play the worker."""

    api: Api
    client: AsyncOpenAI

    async def envelope(self) -> Envelope:
        """What was published, once it was."""

        async def published() -> bool:
            return bool(self.api.queue.published)

        await eventually(published)
        return decode(self.api.queue.published[-1].message.body)

    def writer(self, spec: JobSpec) -> AbstractAsyncContextManager[AnswerWriter]:
        return self.api.parts.answer_streams.writer(spec.id)

    async def nobody_reads(self) -> bool:
        """Tell whether the API has done with all its streams."""
        streams = self.api.parts.answer_streams
        assert isinstance(streams, RedisAnswerStreams)
        return not streams._readers

    async def end(self, spec: JobSpec, outcome: Outcome | None = None) -> None:
        """Do what a worker does when a job is answered, or was not."""
        if outcome is None:
            await self.api.finish(spec.id)
            return
        claim = await self.api.store.claim(spec, "worker-1")
        assert await self.api.store.finish(spec, claim.fence, outcome, ())

    async def open(self, **more: Any) -> AsyncStream[ChatCompletionChunk]:  # noqa: ANN401 - of the call
        stream: AsyncStream[ChatCompletionChunk] = await self.client.chat.completions.create(
            model="gpt-4o-mini", messages=ask("Name three rivers."), stream=True, **more
        )
        return stream

    def opening(self, **more: Any) -> asyncio.Task[AsyncStream[ChatCompletionChunk]]:  # noqa: ANN401 - of the call
        return asyncio.create_task(self.open(**more))


def client_of(api: Api) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{api.url}/v1", api_key=KEY, max_retries=0)


@pytest.fixture
async def theatre(api: Api) -> AsyncIterator[Theatre]:
    async with client_of(api) as client:
        yield Theatre(api, client)


def failed(code: str) -> Outcome:
    return Outcome(JobStatus.FAILED, error=JobError("As the provider put it.", "provider_error", code))


async def texts(stream: AsyncStream[ChatCompletionChunk]) -> list[str | None]:
    return [choice.delta.content for chunk in [chunk async for chunk in stream] for choice in chunk.choices]


async def test_each_piece_is_passed_on_before_the_next_is_made(theatre: Theatre) -> None:
    opening = theatre.opening()
    spec = (await theatre.envelope()).spec
    async with theatre.writer(spec) as writer:
        await writer.send(chunk("Aare, "))
        stream = await opening
        pieces = aiter(stream)
        assert (await anext(pieces)).choices[0].delta.content == "Aare, "
        await writer.send(chunk("Rhine.", "stop"))
        assert (await anext(pieces)).choices[0].delta.content == "Rhine."
        await writer.close()
    await theatre.end(spec)
    assert [chunk async for chunk in pieces] == []
    assert stream.response.headers["x-forebay-job-id"] == spec.id
    assert stream.response.headers["x-forebay-cache"] == "miss"
    assert stream.response.headers["content-type"].startswith("text/event-stream")


async def test_that_an_answer_is_streamed_is_no_part_of_the_request(theatre: Theatre) -> None:
    options = {"include_usage": True}
    opening = theatre.opening(stream_options=options)
    envelope = await theatre.envelope()
    assert envelope.request == CHAT | {"stream_options": options}
    assert envelope.spec.streams
    await theatre.end(envelope.spec)
    assert await texts(await opening) == ["", "Aare.", None]


async def test_no_note_of_the_publish_stands_in_the_way_of_the_first_piece(theatre: Theatre) -> None:
    opening = theatre.opening()
    spec = (await theatre.envelope()).spec
    assert (await theatre.api.job(spec.id)).status is JobStatus.ACCEPTED

    async def is_queued() -> bool:
        return (await theatre.api.job(spec.id)).status is JobStatus.QUEUED

    await eventually(is_queued)
    opening.cancel()


async def test_the_end_of_the_stream_waits_for_that_of_the_job(theatre: Theatre) -> None:
    opening = theatre.opening()
    spec = (await theatre.envelope()).spec
    async with theatre.writer(spec) as writer:
        await writer.send(chunk("Aare."))
        await writer.close()
    reading = asyncio.create_task(texts(await opening))
    done, _ = await asyncio.wait([reading], timeout=0.1)
    assert not done
    await theatre.end(spec)
    assert await reading == ["Aare."]


@pytest.mark.parametrize(("code", "status"), [("context_length_exceeded", 400), ("overloaded", 503)])
async def test_what_fails_before_the_first_piece_is_an_error_with_its_status(
    theatre: Theatre, code: str, status: int
) -> None:
    opening = theatre.opening()
    spec = (await theatre.envelope()).spec
    await theatre.end(spec, failed(code))
    with pytest.raises(openai.APIStatusError) as refused:
        await opening
    assert (refused.value.status_code, refused.value.code) == (status, code)
    assert refused.value.response.headers["x-forebay-job-id"] == spec.id


async def test_a_job_that_is_not_let_in_is_an_error_with_its_status(theatre: Theatre) -> None:
    theatre.api.queue.away_after = 0
    with pytest.raises(openai.InternalServerError) as refused:
        await theatre.open()
    assert (refused.value.status_code, refused.value.code) == (503, "service_unavailable")
    with pytest.raises(openai.NotFoundError) as unknown:
        await theatre.client.chat.completions.create(model="none", messages=ask("Hi"), stream=True)
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")


async def test_what_fails_after_the_first_piece_is_an_event_and_ends_the_stream(theatre: Theatre) -> None:
    opening = theatre.opening()
    spec = (await theatre.envelope()).spec
    async with theatre.writer(spec) as writer:
        await writer.send(chunk("Aare"))
        stream = await opening
    await theatre.end(spec, failed("overloaded"))
    with pytest.raises(openai.APIError) as broken:
        await texts(stream)
    assert broken.value.code == "overloaded"
    assert broken.value.message == "As the provider put it."


async def test_a_stream_that_broke_off_has_its_job_cancelled(theatre: Theatre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producer_api.streamed_answer.AFTERWARDS_S", 0.05)
    opening = theatre.opening()
    spec = (await theatre.envelope()).spec
    async with theatre.writer(spec) as writer:
        await writer.send(chunk("Aare"))
        stream = await opening
    with pytest.raises(openai.APIError) as broken:
        await texts(stream)
    assert broken.value.code == "stream_broken"
    assert (await theatre.api.job(spec.id)).status is JobStatus.CANCELLED


async def test_a_stream_that_broke_off_before_its_first_piece_becomes_the_stored_answer(theatre: Theatre) -> None:
    opening = theatre.opening()
    spec = (await theatre.envelope()).spec
    async with theatre.writer(spec):
        pass
    async with theatre.writer(spec) as writer:
        await writer.close()
    await theatre.end(spec)
    stream = await opening
    assert await texts(stream) == ["", "Aare.", None]
    assert stream.response.headers["x-forebay-served-by"] == "gpt-4o-mini-1"


@pytest.mark.parametrize("response", [{"data": []}, {"choices": [{"message": "Aare."}]}, {"choices": ["Aare."]}])
async def test_an_answer_that_is_none_of_a_chat_is_an_error_with_its_status(
    theatre: Theatre, response: dict[str, Any]
) -> None:
    opening = theatre.opening()
    spec = (await theatre.envelope()).spec
    await theatre.end(spec, Outcome(JobStatus.SUCCEEDED, response=response))
    with pytest.raises(openai.InternalServerError) as refused:
        await opening
    assert (refused.value.status_code, refused.value.code) == (502, "unexpected_answer")


async def test_a_known_answer_comes_in_chunks(theatre: Theatre) -> None:
    model = "gpt-4o-mini"
    await theatre.api.know_the_answer(
        JobSpec("job_of_another", TEAM, "/v1/chat/completions", model, model, Priority.BULK, 1.0)
    )
    stream = await theatre.open(stream_options={"include_usage": True})
    assert "".join(filter(None, await texts(stream))) == ANSWER["choices"][0]["message"]["content"]
    assert stream.response.headers["x-forebay-cache"] == "hit"
    assert theatre.api.queue.published == []


async def test_no_piece_in_time_is_a_504_and_the_job_goes_on(theatre: Theatre) -> None:
    with pytest.raises(openai.InternalServerError) as late:
        await theatre.open(extra_headers={"x-forebay-timeout": "0.1"})
    assert (late.value.status_code, late.value.code) == (504, "timeout")
    assert late.value.response.headers["x-should-retry"] == "false"
    job = await theatre.api.job(late.value.response.headers["x-forebay-job-id"])
    assert not job.status.is_final


async def test_a_silence_between_pieces_that_is_too_long_ends_the_stream_and_the_job_goes_on(theatre: Theatre) -> None:
    opening = theatre.opening(extra_headers={"x-forebay-timeout": "1"})
    spec = (await theatre.envelope()).spec
    async with theatre.writer(spec) as writer:
        await writer.send(chunk("Aare"))
        stream = await opening
        with pytest.raises(openai.APIError) as late:
            await texts(stream)
    assert late.value.code == "timeout"
    assert spec.id in late.value.message
    assert not (await theatre.api.job(spec.id)).status.is_final


async def test_a_stopping_server_ends_a_stream_with_an_error_and_the_job_goes_on(valkey_url: str) -> None:
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as outlives_the_api:
        async with running_api(valkey_url) as api:
            theatre = Theatre(api, await outlives_the_api.enter_async_context(client_of(api)))
            opening = theatre.opening()
            spec = (await theatre.envelope()).spec
            writer = await outlives_the_api.enter_async_context(theatre.writer(spec))
            await writer.send(chunk("Aare"))
            stream = await opening
            began = loop.time()
        assert loop.time() - began < SHUTDOWN_GRACE_S  # then they would have been cut off
        told = [line async for line in stream.response.aiter_lines() if line]
    assert told[0] == f"data: {chunk('Aare').decode()}"
    error = orjson.loads(told[1].removeprefix("data: "))["error"]
    assert (error["code"], spec.id in error["message"], told[2:]) == ("timeout", True, [])
    async with running_api(valkey_url) as api:
        assert not (await api.job(spec.id)).status.is_final


async def test_a_call_that_its_server_breaks_off_has_its_job_cancelled(theatre: Theatre) -> None:
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    body = [{"type": "http.request", "body": orjson.dumps(CHAT | {"stream": True}), "more_body": False}]

    async def receive() -> dict[str, Any]:
        return body.pop() if body else await asyncio.Future()

    async def send(_message: object) -> None:
        pytest.fail("nothing is to be told")

    call = asyncio.create_task(create_app(theatre.api.parts)(scope, receive, send))
    spec = (await theatre.envelope()).spec
    call.cancel()
    await asyncio.wait([call])
    assert call.cancelled()
    assert (await theatre.api.job(spec.id)).status is JobStatus.CANCELLED


@pytest.mark.parametrize("has_begun", [True, False])
async def test_a_client_that_leaves_has_its_job_cancelled(theatre: Theatre, *, has_begun: bool) -> None:
    opening = theatre.opening()
    spec = (await theatre.envelope()).spec
    async with theatre.writer(spec) as writer:
        if has_begun:
            await writer.send(chunk("Aare"))
            await (await opening).close()
        else:
            opening.cancel()

        async def is_cancelled() -> bool:
            return (await theatre.api.job(spec.id)).status is JobStatus.CANCELLED

        await eventually(is_cancelled)


@pytest.mark.parametrize("has_begun", [True, False])
@pytest.mark.parametrize("comes_back_early", [True, False])
async def test_a_client_with_an_idempotency_key_may_leave_and_come_back_for_the_answer(
    theatre: Theatre, *, has_begun: bool, comes_back_early: bool
) -> None:
    key = {"Idempotency-Key": "back again"}
    opening = theatre.opening(extra_headers=key)
    spec = (await theatre.envelope()).spec
    async with theatre.writer(spec) as writer:
        if has_begun:
            await writer.send(chunk("Aare"))
            await (await opening).close()
        else:
            opening.cancel()
        await eventually(theatre.nobody_reads)
        again = theatre.opening(extra_headers=key) if comes_back_early else None
        await writer.send(chunk("."))
        await writer.close()
    await theatre.end(spec)
    stream = await (again or theatre.opening(extra_headers=key))
    assert await texts(stream) == ["", "Aare.", None]
    assert stream.response.headers["x-forebay-job-id"] == spec.id
    assert len(theatre.api.queue.published) == 1


async def test_a_stream_with_an_idempotency_key_that_broke_off_keeps_its_job(
    theatre: Theatre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producer_api.streamed_answer.AFTERWARDS_S", 0.05)
    opening = theatre.opening(extra_headers={"Idempotency-Key": "kept"})
    spec = (await theatre.envelope()).spec
    async with theatre.writer(spec) as writer:
        await writer.send(chunk("Aare"))
        stream = await opening
    with pytest.raises(openai.APIError) as broken:
        await texts(stream)
    assert broken.value.code == "stream_broken"
    assert spec.id in broken.value.message
    assert not (await theatre.api.job(spec.id)).status.is_final


@pytest.mark.parametrize("key", [None, "kept"])
async def test_a_client_that_takes_nothing_counts_as_gone(
    theatre: Theatre, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    monkeypatch.setattr("producer_api.event_stream.TAKEN_WITHIN_S", 0.2)
    body = orjson.dumps(CHAT | {"stream": True})
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        "host: forebay",
        f"authorization: Bearer {KEY}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        *([f"idempotency-key: {key}"] if key else []),
    ]
    address = urlsplit(theatre.api.url)
    _, client = await asyncio.open_connection(address.hostname, address.port, limit=1024)
    client.write("\r\n".join([*lines, "\r\n"]).encode() + body)
    spec = (await theatre.envelope()).spec
    async with theatre.writer(spec) as writer:
        for _ in range(200):  # more than the buffers on the way hold
            await writer.send(chunk("Aare" * 25_000))
        await eventually(theatre.nobody_reads)
    assert (await theatre.api.job(spec.id)).status.is_final == (key is None)
    client.transport.abort()


async def test_a_repeat_gets_the_answer_of_the_first_and_does_not_end_its_job(theatre: Theatre) -> None:
    key = {"Idempotency-Key": "twice"}
    first = theatre.opening(extra_headers=key)
    spec = (await theatre.envelope()).spec
    left, again = theatre.opening(extra_headers=key), theatre.opening(extra_headers=key)
    await asyncio.wait([left], timeout=0.1)
    left.cancel()
    async with theatre.writer(spec) as writer:
        await writer.send(chunk("Aare."))
        await writer.close()
    await theatre.end(spec)
    assert await texts(await first) == ["Aare."]
    assert await texts(await again) == ["", "Aare.", None]
    assert len(theatre.api.queue.published) == 1
