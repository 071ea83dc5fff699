"""Streams of providers, in every form in which they come and break."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest
import pytest_asyncio
from aiohttp import web

from shared.adapters.providers.openai_http import OpenAIHttpClient
from shared.domain.provider_errors import (
    ConnectionFailed,
    Overloaded,
    ProviderError,
    RateLimited,
    StreamBroken,
    TimedOut,
    UnexpectedAnswer,
)
from shared.domain.providers import ProviderAnswer
from shared.domain.routing import ClientKind, Deployment
from shared.domain.usage import Usage
from tests.servers.provider import CHAT, SimulatedProvider, question
from tests.servers.web import serving

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def client() -> AsyncIterator[OpenAIHttpClient]:
    client = OpenAIHttpClient()
    yield client
    await client.close()


def deployment(api_base: str, timeout_s: float = 30.0) -> Deployment:
    return Deployment("d1", "chat", "openai/gpt-test", ClientKind.HTTP, api_base, "sk-right", timeout_s)


class Call:
    """One streamed call: the pieces that were handed on, and what came of it."""

    def __init__(self, client: OpenAIHttpClient, at: Deployment, request: dict[str, Any]) -> None:
        self.pieces: list[bytes] = []
        self._work = client.stream(at, CHAT, request, self._take)

    async def _take(self, piece: bytes) -> None:
        self.pieces.append(piece)

    async def answer(self) -> ProviderAnswer:
        return await self._work

    async def failure(self) -> ProviderError:
        with pytest.raises(ProviderError) as caught:
            await self._work
        return caught.value

    async def break_off(self) -> ProviderAnswer:
        failure = await self.failure()
        assert isinstance(failure, StreamBroken)
        assert failure.partial is not None
        return failure.partial

    @property
    def text(self) -> str:
        chunks = [orjson.loads(piece) for piece in self.pieces]
        return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


async def test_a_stream_gives_its_chunks_and_the_same_answer_as_a_call(
    client: OpenAIHttpClient, provider: SimulatedProvider
) -> None:
    request = question("What is a forebay?", n=3)
    call = Call(client, deployment(provider.url), request)
    streamed, whole = await call.answer(), await client.call(deployment(provider.url), CHAT, request)
    assert streamed == whole
    assert len(call.pieces) > 9


async def test_the_usage_is_known_and_shown_only_to_who_asked_for_it(
    client: OpenAIHttpClient, provider: SimulatedProvider
) -> None:
    for options in (None, {"include_usage": False}, {"include_usage": True}):
        call = Call(client, deployment(provider.url), question(max_tokens=5, stream_options=options))
        assert (await call.answer()).usage == Usage(2, 5)
        counted = [piece for piece in call.pieces if orjson.loads(piece)["usage"]]
        assert len(counted) == (options == {"include_usage": True})


async def test_embeddings_come_whole(client: OpenAIHttpClient, provider: SimulatedProvider) -> None:
    async def take(piece: bytes) -> None:
        raise AssertionError(piece)

    answer = await client.stream(deployment(provider.url), "/v1/embeddings", {"model": "x", "input": "abcd"}, take)
    assert answer.usage == Usage(1)


async def test_an_error_before_the_first_chunk_is_that_of_a_call(
    client: OpenAIHttpClient, provider: SimulatedProvider
) -> None:
    await provider.faults("status", status=429, retry_after_s=7)
    call = Call(client, deployment(provider.url), question())
    failure = await call.failure()
    assert type(failure) is RateLimited
    assert failure.retry_after_s == 7


async def test_a_cut_before_the_first_chunk_is_a_failed_connection(
    client: OpenAIHttpClient, provider: SimulatedProvider
) -> None:
    await provider.faults("cut_stream", at_byte=20)
    call = Call(client, deployment(provider.url), question())
    assert type(await call.failure()) is ConnectionFailed
    assert call.pieces == []


async def test_a_cut_in_the_middle_breaks_the_stream_and_gives_what_came(
    client: OpenAIHttpClient, provider: SimulatedProvider
) -> None:
    await provider.faults("cut_stream", at_byte=1000)
    call = Call(client, deployment(provider.url), question())
    partial = await call.break_off()
    assert call.text
    assert partial.body["choices"][0]["message"]["content"] == call.text
    assert partial.body["choices"][0]["finish_reason"] is None
    assert partial.usage is None


async def test_a_slow_stream_is_not_too_slow_while_its_chunks_come(
    client: OpenAIHttpClient, provider: SimulatedProvider
) -> None:
    await provider.faults("latency", seconds=1.0)
    await Call(client, deployment(provider.url, timeout_s=0.4), question()).answer()


async def test_who_takes_the_chunks_has_all_the_time_he_needs_and_holds_the_stream(
    client: OpenAIHttpClient, provider: SimulatedProvider
) -> None:
    async def take(_piece: bytes) -> None:
        await asyncio.wait([asyncio.Future()], timeout=0.6)

    await client.stream(deployment(provider.url, timeout_s=0.5), CHAT, question(max_tokens=2), take)


async def test_a_cancelled_stream_hangs_up(client: OpenAIHttpClient, provider: SimulatedProvider) -> None:
    reached, never = asyncio.Event(), asyncio.Event()

    async def take(_piece: bytes) -> None:
        reached.set()
        await never.wait()

    await provider.faults("latency", seconds=30.0)
    call = asyncio.create_task(client.stream(deployment(provider.url), CHAT, question(), take))
    await reached.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await provider.wait_until_idle())["aborted"] == 1


Say = Callable[[web.StreamResponse], Any]


class Script:
    """A provider that says what the test wrote, in the parts in which the test cut it."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.hangs = False
        self.goes_on = False
        self.content_type = "text/event-stream"
        self.asked: dict[str, Any] = {}
        self._never = asyncio.Event()

    async def answer(self, http: web.Request) -> web.StreamResponse:
        self.asked = await http.json()
        response = web.StreamResponse()
        response.content_type = self.content_type
        await response.prepare(http)
        for part in self.parts:
            await response.write(part)
            await asyncio.sleep(0)
        while self.goes_on:
            await response.write(b"data: " + said("a") + b"\n\n")
            await asyncio.wait([asyncio.ensure_future(self._never.wait())], timeout=0.05)
        if self.hangs:
            await self._never.wait()
        return response


@pytest_asyncio.fixture(loop_scope="module")
async def script() -> AsyncIterator[tuple[Script, Deployment]]:
    script = Script()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", script.answer)
    async with serving(app) as url:
        yield script, deployment(f"{url}/v1", timeout_s=0.5)
        script._never.set()


def said(text: str, finish_reason: str | None = None) -> bytes:
    return orjson.dumps({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}]})


FIRST, LAST = said("Aa"), said("re", "stop")


@pytest.mark.parametrize(
    "stream",
    [
        b"data: " + FIRST + b"\n\ndata: " + LAST + b"\n\ndata: [DONE]\n\n",
        b"data:" + FIRST + b"\r\n\r\ndata:" + LAST + b"\r\n\r\ndata:[DONE]\r\n\r\n",
        b": wait\n\nevent: chunk\nid: 1\ndata: " + FIRST + b"\n\n: wait\n\ndata: " + LAST + b"\n\ndata: [DONE]\n\n",
        b"data: " + FIRST.replace(b'"delta"', b'\ndata: "delta"') + b"\n\ndata: " + LAST + b"\n\ndata: [DONE]\n\n",
        b"data: " + FIRST + b"\n\ndata: " + LAST + b"\n\n",
        b"data: " + FIRST + b"\n\ndata: " + LAST,
        b"data: " + FIRST + b"\n\ndata: " + said("re") + b"\n\ndata: [DONE]",
        b"\n\ndata: " + FIRST + b"\n\ndata:\n\ndata: " + LAST + b"\n\ndata: [DONE]\n\nand more",
    ],
)
@pytest.mark.parametrize("cut", [1, 7, 1000])
async def test_a_stream_is_understood_in_every_form(
    client: OpenAIHttpClient, script: tuple[Script, Deployment], stream: bytes, cut: int
) -> None:
    provider, at = script
    provider.parts = [stream[start : start + cut] for start in range(0, len(stream), cut)]
    call = Call(client, at, question(stream=True, stream_options={"of_the_future": 1}))
    answer = await call.answer()
    assert answer.body["choices"][0]["message"]["content"] == "Aare"
    assert orjson.loads(call.pieces[0]) == orjson.loads(FIRST)
    assert not any(b"\n" in piece for piece in call.pieces)
    assert provider.asked["stream"] is True
    assert provider.asked["stream_options"] == {"of_the_future": 1, "include_usage": True}


async def test_chunks_are_handed_on_as_they_came(client: OpenAIHttpClient, script: tuple[Script, Deployment]) -> None:
    provider, at = script
    odd = b'{"choices": [{"index":0,  "delta":{"content":"\\u00e9"}, "finish_reason":"stop"}],"x":1.50}'
    provider.parts = [b"data: " + odd + b"\n\ndata: [DONE]\n\n"]
    call = Call(client, at, question())
    await call.answer()
    assert call.pieces == [odd]


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
async def test_an_answer_that_comes_whole_although_a_stream_was_asked_for_is_taken(
    client: OpenAIHttpClient, script: tuple[Script, Deployment], content_type: str
) -> None:
    provider, at = script
    provider.content_type = content_type
    body = {"choices": [{"index": 0, "message": {"content": "Aare"}}], "usage": {"prompt_tokens": 3}}
    provider.parts = [b" \n", orjson.dumps(body)]
    call = Call(client, at, question())
    answer = await call.answer()
    assert (answer.body, answer.usage, call.pieces) == (body, Usage(3), [])


ERROR = b'data: {"error": {"code": 503, "message": "overloaded"}}\n\n'


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        (ERROR, Overloaded),
        (b"data: [DONE]\n\n", UnexpectedAnswer),
        (b"", ConnectionFailed),
        (b"data: {nonsense\n\n", UnexpectedAnswer),
        (b"data: 7\n\n", UnexpectedAnswer),
    ],
)
async def test_what_goes_wrong_at_once_is_no_broken_stream(
    client: OpenAIHttpClient, script: tuple[Script, Deployment], stream: bytes, kind: type[ProviderError]
) -> None:
    provider, at = script
    provider.parts = [stream]
    assert type(await Call(client, at, question()).failure()) is kind


@pytest.mark.parametrize("rest", [ERROR, b"", b"data: {nonsense\n\n"])
async def test_what_goes_wrong_after_a_chunk_breaks_the_stream(
    client: OpenAIHttpClient, script: tuple[Script, Deployment], rest: bytes
) -> None:
    provider, at = script
    provider.parts = [b"data: " + FIRST + b"\n\n", rest]
    partial = await Call(client, at, question()).break_off()
    assert partial.body["choices"][0]["message"]["content"] == "Aa"


async def test_a_provider_that_falls_silent_is_given_up(
    client: OpenAIHttpClient, script: tuple[Script, Deployment]
) -> None:
    provider, at = script
    provider.hangs = True
    assert type(await Call(client, at, question()).failure()) is TimedOut
    provider.parts = [b"data: " + FIRST + b"\n\n"]
    await Call(client, at, question()).break_off()


async def test_a_provider_that_says_a_little_for_ever_is_given_up(script: tuple[Script, Deployment]) -> None:
    provider, at = script
    provider.goes_on = True
    impatient = OpenAIHttpClient(longest_stream_s=0.1)
    call = Call(impatient, at, question())
    async with asyncio.timeout(5):
        failure = await call.failure()
    provider.goes_on = False
    assert isinstance(failure, StreamBroken)
    assert "did not end within 0.5 s" in failure.message  # the deployment's timeout is the longer one
    assert len(call.pieces) > 3
    await impatient.close()
