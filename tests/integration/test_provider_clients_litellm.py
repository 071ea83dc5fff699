"""LiteLLM, for real: its calls through the simulated provider, and each of its exceptions translated.

LiteLLM takes seconds to import; everything that needs it stands in this file.
"""

import asyncio
import importlib
import inspect
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import pytest_asyncio

from shared.adapters.providers.errors import _BY_LITELLM_CLASS, from_litellm
from shared.adapters.providers.litellm_client import CHAT_PARAMETERS, EMBEDDING_PARAMETERS, LiteLLMClient
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
    StreamBroken,
    TimedOut,
    UnexpectedAnswer,
)
from shared.domain.routing import ClientKind, Deployment
from shared.domain.usage import Usage
from tests.servers.provider import CHAT, SimulatedProvider, question

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    # LiteLLM's, of pydantic; as errors they would be the provider's.
    pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Item .* is using the `ReadOnly` qualifier:UserWarning"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client() -> AsyncIterator[LiteLLMClient]:
    client = LiteLLMClient()
    await client._imported()
    yield client
    await client.close()


@pytest.fixture
def exceptions(client: LiteLLMClient) -> dict[str, type[Exception]]:
    module = importlib.import_module("litellm.exceptions")
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == module.__name__
    }


def deployment(provider: SimulatedProvider, api_key: str = "sk-right", timeout_s: float = 30.0) -> Deployment:
    return Deployment("d1", "chat", "openai/gpt-test", ClientKind.LITELLM, provider.url, api_key, timeout_s)


async def test_a_call_through_litellm_gives_an_openai_answer(
    client: LiteLLMClient, provider: SimulatedProvider
) -> None:
    await provider.limits(rpm=600)
    answer = await client.call(deployment(provider), CHAT, question(max_tokens=5))
    assert answer.body["choices"][0]["message"]["content"]
    assert answer.body["choices"][0]["finish_reason"] == "length"
    assert answer.usage == Usage(2, 5)
    assert answer.rate_limit_headers["x-ratelimit-limit-requests"] == "600"
    json.dumps(answer.body)


@pytest.mark.parametrize("asks_for_usage", [True, False])
async def test_a_stream_through_litellm_gives_openais_chunks_and_the_whole_answer(
    client: LiteLLMClient, provider: SimulatedProvider, *, asks_for_usage: bool
) -> None:
    chunks: list[dict[str, Any]] = []

    async def take(piece: bytes) -> None:
        chunks.append(json.loads(piece))

    request = question(max_tokens=8, stream_options={"include_usage": asks_for_usage})
    answer = await client.stream(deployment(provider), CHAT, request, take)
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    text = "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])
    assert answer.body["choices"][0]["message"] == {"role": "assistant", "content": text}
    assert answer.body["choices"][0]["finish_reason"] == "length"
    assert answer.usage == Usage(2, 8)
    assert [chunk["choices"] for chunk in chunks if "usage" in chunk] == ([[]] if asks_for_usage else [])


async def test_a_stream_that_breaks_in_litellm_is_broken_only_after_its_first_chunk(
    client: LiteLLMClient, provider: SimulatedProvider
) -> None:
    async def take(piece: bytes) -> None:
        pass

    await provider.faults("status", status=500, count=1)
    with pytest.raises(Overloaded):
        await client.stream(deployment(provider), CHAT, question(), take)
    await provider.faults("cut_stream", at_byte=1000, count=1)
    with pytest.raises(StreamBroken) as caught:
        await client.stream(deployment(provider), CHAT, question(), take)
    assert caught.value.partial is not None
    assert caught.value.partial.body["choices"][0]["message"]["content"]


async def test_a_cancelled_stream_of_litellm_hangs_up(client: LiteLLMClient, provider: SimulatedProvider) -> None:
    reached, never = asyncio.Event(), asyncio.Event()

    async def take(_piece: bytes) -> None:
        reached.set()
        await never.wait()

    await provider.faults("latency", seconds=30.0)
    call = asyncio.create_task(client.stream(deployment(provider), CHAT, question(), take))
    await asyncio.wait([asyncio.create_task(reached.wait()), call], return_when=asyncio.FIRST_COMPLETED)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await provider.wait_until_idle())["aborted"] == 1


async def test_a_stream_of_litellm_has_an_end_though_its_reader_never_takes_it(
    client: LiteLLMClient, provider: SimulatedProvider
) -> None:
    never = asyncio.Event()

    async def take(_piece: bytes) -> None:
        await never.wait()

    impatient = LiteLLMClient(longest_stream_s=0.1)
    async with asyncio.timeout(20):
        with pytest.raises(StreamBroken, match=r"did not end within 2 s"):
            await impatient.stream(deployment(provider, timeout_s=2.0), CHAT, question(), take)


async def test_embeddings_through_litellm(client: LiteLLMClient, provider: SimulatedProvider) -> None:
    request = {"model": "x", "input": ["abcd", "efgh"], "dimensions": 4, "encoding_format": "float"}
    embedder = replace(deployment(provider), model="openai/text-embedding-3-small")
    answer = await client.call(embedder, "/v1/embeddings", request)
    assert [len(item["embedding"]) for item in answer.body["data"]] == [4, 4]
    assert answer.usage == Usage(2)


async def test_a_client_cannot_aim_the_deployments_key_elsewhere(
    client: LiteLLMClient, provider: SimulatedProvider
) -> None:
    elsewhere = "http://127.0.0.1:1/v1"
    request = question(
        api_base=elsewhere,
        base_url=elsewhere,
        api_key="sk-stolen",
        extra_headers={"authorization": "Bearer sk-stolen"},
        headers={"authorization": "Bearer sk-stolen"},
        custom_llm_provider="azure",
        model_list=[{"model_name": "x"}],
        mock_response="mocked",
        fallbacks=["openai/other"],
        num_retries=5,
        stream=True,
    )
    answer = await client.call(deployment(provider), CHAT, request)
    assert "mocked" not in json.dumps(answer.body)
    assert (await provider.account("sk-right", "gpt-test"))["served"] == 1


async def test_no_setting_of_litellm_is_among_the_parameters_passed_on() -> None:
    settings = (
        "api_base api_key api_version base_url client custom_llm_provider deployment_id extra_body extra_headers fallbacks "
        "headers max_retries metadata mock_response model model_list num_retries organization shared_session timeout"
    )
    assert not (CHAT_PARAMETERS | EMBEDDING_PARAMETERS).intersection(settings.split())


@pytest.mark.parametrize(
    ("fault", "rule", "kind"),
    [
        ("status", {"status": 400}, InvalidRequest),
        ("status", {"status": 429, "retry_after_s": 7}, RateLimited),
        ("status", {"status": 500}, Overloaded),
        ("status", {"status": 503}, Overloaded),
        ("context_length_exceeded", {}, ContextWindowExceeded),
        ("content_filter", {}, ContentRefused),
        ("insufficient_quota", {}, QuotaExhausted),
        ("disconnect", {}, ConnectionFailed),
    ],
)
async def test_each_failure_is_translated_and_called_once(
    client: LiteLLMClient, provider: SimulatedProvider, fault: str, rule: dict[str, Any], kind: type[ProviderError]
) -> None:
    await provider.faults(fault, **rule)
    with pytest.raises(ProviderError) as caught:
        await client.call(deployment(provider), CHAT, question("my secret prompt"))
    assert type(caught.value) is kind
    assert caught.value.retry_after_s == rule.get("retry_after_s")
    assert "secret" not in caught.value.message
    assert (await provider.calls_of("my secret prompt"))["begun"] == 1


@pytest.mark.parametrize("fault", ["invalid_json", "no_choices"])
async def test_an_answer_that_makes_no_sense_is_an_error_of_ours(
    client: LiteLLMClient, provider: SimulatedProvider, fault: str
) -> None:
    await provider.faults(fault)
    with pytest.raises(ProviderError):
        await client.call(deployment(provider), CHAT, question())


async def test_a_wrong_key_is_not_shown(client: LiteLLMClient, provider: SimulatedProvider) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        await client.call(deployment(provider, api_key="sk-wrong-but-secret"), CHAT, question())
    assert "sk-wrong" not in caught.value.message


async def test_a_call_that_outlives_its_time_ends_and_hangs_up(
    client: LiteLLMClient, provider: SimulatedProvider
) -> None:
    await provider.faults("hang")
    with pytest.raises(TimedOut):
        await client.call(deployment(provider, timeout_s=0.5), CHAT, question())
    assert (await provider.wait_until_idle())["aborted"] == 1


async def test_a_cancelled_call_hangs_up(client: LiteLLMClient, provider: SimulatedProvider) -> None:
    await provider.faults("hang")
    call = asyncio.create_task(client.call(deployment(provider), CHAT, question()))
    await provider.wait_for(in_flight=1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await provider.wait_until_idle())["aborted"] == 1


async def test_every_exception_of_litellm_is_mapped_on_purpose(exceptions: dict[str, type[Exception]]) -> None:
    listed = {kind.__name__ for kind in importlib.import_module("litellm.exceptions").LITELLM_EXCEPTION_TYPES}
    assert exceptions.keys() | listed == _BY_LITELLM_CLASS.keys()


async def test_every_exception_of_litellm_becomes_the_error_it_is_mapped_to(
    exceptions: dict[str, type[Exception]],
) -> None:
    for name, kind in exceptions.items():
        raised = kind.__new__(kind)
        Exception.__init__(raised, "Something.")
        raised.message = "Something."  # type: ignore[attr-defined]  # every one of them but a few has it
        assert type(from_litellm(raised)) is _BY_LITELLM_CLASS[name], name


def make(exceptions: dict[str, type[Exception]], name: str, message: str, **more: object) -> Exception:
    return exceptions[name](message=message, llm_provider="openai", model="m", **more)  # type: ignore[call-arg]  # theirs


@pytest.mark.parametrize(
    ("name", "message", "kind"),
    [
        (
            "APIConnectionError",
            'GeminiException - {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}',
            RateLimited,
        ),
        ("APIConnectionError", "Error code: 429 - slow down", RateLimited),
        ("APIConnectionError", "Connection reset by peer", ConnectionFailed),
        ("RateLimitError", "OpenAIException - insufficient_quota", QuotaExhausted),
        ("BadRequestError", "OpenAIException - code: insufficient_quota", QuotaExhausted),
        ("BadRequestError", "AnthropicException - prompt is too long: 9 tokens", ContextWindowExceeded),
        ("BadRequestError", "AzureException - the content management policy", ContentRefused),
        ("BadRequestError", "Invalid value for n", InvalidRequest),
        ("ServiceUnavailableError", "BedrockException - ThrottlingException", RateLimited),
        ("InternalServerError", "Internal error", Overloaded),
        ("AuthenticationError", "rate limit", AuthenticationFailed),
    ],
)
async def test_what_litellm_calls_wrongly_is_told_by_the_providers_words(
    exceptions: dict[str, type[Exception]], name: str, message: str, kind: type[ProviderError]
) -> None:
    assert type(from_litellm(make(exceptions, name, message))) is kind


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (503, Overloaded), (404, AuthenticationFailed)])
async def test_a_bare_api_error_is_told_by_its_status(
    exceptions: dict[str, type[Exception]], status: int, kind: type[ProviderError]
) -> None:
    assert type(from_litellm(make(exceptions, "APIError", "Something.", status_code=status))) is kind


async def test_a_subclass_yet_unknown_is_taken_for_its_parent(exceptions: dict[str, type[Exception]]) -> None:
    newer: type[Exception] = type("NewerError", (exceptions["RateLimitError"],), {})
    assert type(from_litellm(newer(message="x", llm_provider="p", model="m"))) is RateLimited  # type: ignore[call-arg]  # theirs


async def test_the_wait_is_found_in_a_litellm_exception(exceptions: dict[str, type[Exception]]) -> None:
    response = httpx.Response(429, headers={"Retry-After": "9"}, request=httpx.Request("POST", "http://x"))
    assert from_litellm(make(exceptions, "RateLimitError", "x", response=response)).retry_after_s == 9
    gemini = make(exceptions, "RateLimitError", 'GeminiException - {"details": [{"retryDelay": "17s"}]}')
    assert from_litellm(gemini).retry_after_s == 17


async def test_what_is_no_exception_of_litellm_is_an_unexpected_answer() -> None:
    assert type(from_litellm(KeyError("choices"))) is UnexpectedAnswer
