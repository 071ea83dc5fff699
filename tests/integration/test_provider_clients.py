"""The thin HTTP client against a real provider process: lossless, once, and every failure translated."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from shared.adapters.providers import openai_http
from shared.adapters.providers.openai_http import OpenAIHttpClient
from shared.domain.provider_errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ContentRefused,
    ContextWindowExceeded,
    InvalidRequest,
    Overloaded,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    TimedOut,
    UnexpectedAnswer,
)
from shared.domain.routing import ClientKind, Deployment
from shared.domain.usage import Usage
from tests.servers.provider import CHAT, SimulatedProvider, question

pytestmark = pytest.mark.asyncio(loop_scope="module")

EMBEDDINGS = "/v1/embeddings"


@pytest_asyncio.fixture(loop_scope="module")
async def client() -> AsyncIterator[OpenAIHttpClient]:
    client = OpenAIHttpClient()
    yield client
    await client.close()


def deployment(api_base: str, api_key: str = "sk-right", timeout_s: float = 30.0) -> Deployment:
    return Deployment("d1", "chat", "openai/gpt-test", ClientKind.HTTP, api_base, api_key, timeout_s)


async def test_a_call_gives_the_whole_answer_and_its_usage(
    client: OpenAIHttpClient, provider: SimulatedProvider
) -> None:
    answer = await client.call(deployment(provider.url), CHAT, question(max_tokens=5))
    assert answer.body["model"] == "gpt-test"
    assert answer.body["choices"][0]["message"]["content"]
    assert answer.usage == Usage(2, 5)


async def test_embeddings_have_usage_too(client: OpenAIHttpClient, provider: SimulatedProvider) -> None:
    answer = await client.call(deployment(provider.url), EMBEDDINGS, {"model": "x", "input": ["abcd", "efgh"]})
    assert len(answer.body["data"]) == 2
    assert answer.usage == Usage(2)


async def test_a_request_for_a_stream_is_answered_whole(client: OpenAIHttpClient, provider: SimulatedProvider) -> None:
    request = question(stream=True, stream_options={"include_usage": True})
    answer = await client.call(deployment(provider.url), CHAT, request)
    assert answer.body["object"] == "chat.completion"


async def test_the_rate_limit_headers_come_with_the_answer(
    client: OpenAIHttpClient, provider: SimulatedProvider
) -> None:
    await provider.limits(rpm=600)
    answer = await client.call(deployment(provider.url), CHAT, question())
    assert answer.rate_limit_headers["x-ratelimit-limit-requests"] == "600"


@pytest.mark.parametrize(
    ("fault", "rule", "kind"),
    [
        ("status", {"status": 400}, InvalidRequest),
        ("status", {"status": 429, "retry_after_s": 7}, RateLimited),
        ("status", {"status": 500}, Overloaded),
        ("status", {"status": 503, "retry_after_s": 7}, Overloaded),
        ("status", {"status": 504}, TimedOut),
        ("context_length_exceeded", {}, ContextWindowExceeded),
        ("content_filter", {}, ContentRefused),
        ("insufficient_quota", {}, QuotaExhausted),
        ("disconnect", {}, ConnectionFailed),
        ("invalid_json", {}, UnexpectedAnswer),
        ("no_choices", {}, UnexpectedAnswer),
    ],
)
async def test_each_failure_is_translated_and_called_once(
    client: OpenAIHttpClient, provider: SimulatedProvider, fault: str, rule: dict[str, Any], kind: type[ProviderError]
) -> None:
    await provider.faults(fault, **rule)
    with pytest.raises(ProviderError) as caught:
        await client.call(deployment(provider.url), CHAT, question("my secret prompt"))
    assert type(caught.value) is kind
    assert caught.value.retry_after_s == rule.get("retry_after_s")
    assert "secret" not in caught.value.message
    assert (await provider.calls_of("my secret prompt"))["begun"] == 1


async def test_a_real_limit_says_how_long_to_wait(client: OpenAIHttpClient, provider: SimulatedProvider) -> None:
    await provider.limits(rpm=6)
    await client.call(deployment(provider.url), CHAT, question())
    with pytest.raises(RateLimited) as caught:
        await client.call(deployment(provider.url), CHAT, question())
    assert caught.value.retry_after_s is not None
    assert 0 < caught.value.retry_after_s <= 10


async def test_a_request_larger_than_a_whole_minutes_limit_is_not_waited_for(
    client: OpenAIHttpClient, provider: SimulatedProvider
) -> None:
    await provider.limits(tpm=100)
    with pytest.raises(ContextWindowExceeded):
        await client.call(deployment(provider.url), CHAT, question(max_tokens=200))


async def test_a_wrong_key_is_the_deployments_fault_and_is_not_shown(
    client: OpenAIHttpClient, provider: SimulatedProvider
) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        await client.call(deployment(provider.url, api_key="sk-wrong-but-secret"), CHAT, question())
    assert "sk-wrong" not in caught.value.message


async def test_a_call_that_outlives_its_time_ends_and_hangs_up(
    client: OpenAIHttpClient, provider: SimulatedProvider
) -> None:
    await provider.faults("hang")
    with pytest.raises(TimedOut):
        await client.call(deployment(provider.url, timeout_s=0.2), CHAT, question())
    assert (await provider.wait_until_idle())["aborted"] == 1


async def test_a_cancelled_call_hangs_up(client: OpenAIHttpClient, provider: SimulatedProvider) -> None:
    await provider.faults("hang")
    call = asyncio.create_task(client.call(deployment(provider.url), CHAT, question()))
    await provider.wait_for(in_flight=1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await provider.wait_until_idle())["aborted"] == 1


async def test_nobody_listening_is_a_failed_connection(client: OpenAIHttpClient, unused_tcp_port: int) -> None:
    with pytest.raises(ConnectionFailed):
        await client.call(deployment(f"http://127.0.0.1:{unused_tcp_port}/v1"), CHAT, question())


async def test_a_url_that_is_none_is_an_error_of_ours(client: OpenAIHttpClient) -> None:
    with pytest.raises(ProviderError):
        await client.call(deployment("not a url"), CHAT, question())


class Recorder:
    """A server that keeps what it got and says what it was told to."""

    def __init__(self) -> None:
        self.body = b""
        self.headers: dict[str, str] = {}
        self.response = web.Response()

    async def handle(self, request: web.Request) -> web.Response:
        self.body = await request.read()
        self.headers = dict(request.headers)
        return self.response


@pytest_asyncio.fixture(loop_scope="module")
async def recorder() -> AsyncIterator[tuple[Recorder, str]]:
    recorder = Recorder()
    app = web.Application()
    for path in ("chat/completions", "embeddings"):
        app.router.add_post(f"/base/{path}", recorder.handle)
    async with TestServer(app) as server:
        yield recorder, f"http://127.0.0.1:{server.port}/base/"


def answering(document: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(document), status=status, content_type="application/json")


async def test_a_request_goes_through_unchanged_but_for_its_model(
    client: OpenAIHttpClient, recorder: tuple[Recorder, str]
) -> None:
    server, url = recorder
    answer = {"choices": [{"a": 1}], "of_the_future": {"b": [1.5, None, "ü"]}}
    server.response = answering(answer)
    request = question("ü 漢字", unknown={"x": [1, 2.5, None]}, temperature=0.1, metadata={"k": "v"})
    got = await client.call(deployment(url, api_key=" sk-right\n"), CHAT, request)
    assert orjson.loads(server.body) == request | {"model": "gpt-test"}
    assert server.headers["Authorization"] == "Bearer sk-right"
    assert got.body == answer
    assert got.usage is None


async def test_a_redirect_is_not_followed(client: OpenAIHttpClient, recorder: tuple[Recorder, str]) -> None:
    server, url = recorder
    server.response = web.Response(status=307, headers={"location": "http://127.0.0.1:1/"})
    with pytest.raises(UnexpectedAnswer):
        await client.call(deployment(url), CHAT, question())


async def test_an_error_hidden_in_a_200_is_found(client: OpenAIHttpClient, recorder: tuple[Recorder, str]) -> None:
    server, url = recorder
    server.response = answering({"error": {"code": 429, "message": "Slow down."}})
    with pytest.raises(RateLimited):
        await client.call(deployment(url), CHAT, question())


@pytest.mark.parametrize("answer", [{"data": [{}]}, {"choices": []}, {"choices": {}}, {"choices": ["Aare."]}])
async def test_an_answer_that_is_none_of_a_chat_is_unexpected(
    client: OpenAIHttpClient, recorder: tuple[Recorder, str], answer: dict[str, Any]
) -> None:
    server, url = recorder
    server.response = answering(answer)
    with pytest.raises(UnexpectedAnswer, match="no `choices`"):
        await client.call(deployment(url), CHAT, question())


async def test_a_chat_answer_is_no_embedding(client: OpenAIHttpClient, recorder: tuple[Recorder, str]) -> None:
    server, url = recorder
    server.response = answering({"choices": [{}]})
    with pytest.raises(UnexpectedAnswer, match="no `data`"):
        await client.call(deployment(url), EMBEDDINGS, {"model": "x", "input": "abcd"})


async def test_an_answer_without_end_is_not_read_to_its_end(
    client: OpenAIHttpClient, recorder: tuple[Recorder, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, url = recorder
    monkeypatch.setattr(openai_http, "LARGEST_ANSWER", 1000)
    server.response = answering({"choices": ["x" * 2000]})
    with pytest.raises(UnexpectedAnswer, match="larger"):
        await client.call(deployment(url), CHAT, question())
