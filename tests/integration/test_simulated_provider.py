"""The simulated provider keeps its limits, behaves like OpenAI, and counts truly."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import httpx
import openai
import pytest
import pytest_asyncio

from tests.servers.provider import SimulatedProvider, simulated_provider

MODEL = "gpt-test"


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running_provider() -> AsyncIterator[SimulatedProvider]:
    async with simulated_provider() as provider:
        yield provider


async def ask(
    http: aiohttp.ClientSession,
    provider: SimulatedProvider,
    text: str = "What is new?",
    key: str = "sk-a",
    **request: object,
) -> aiohttp.ClientResponse:
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}], **request}
    headers = {"authorization": f"Bearer {key}"}
    async with http.post(f"{provider.url}/chat/completions", json=body, headers=headers) as response:
        await response.read()
        return response


async def test_the_same_request_gets_the_same_answer_and_another_gets_another(
    http: aiohttp.ClientSession, provider: SimulatedProvider
) -> None:
    first, again, other = [await (await ask(http, provider, text)).text() for text in ("one", "one", "two")]
    assert first == again
    assert first != other


async def test_a_minute_limit_admits_its_slice_and_refuses_the_rest(http: aiohttp.ClientSession) -> None:
    async with simulated_provider(rpm=6, burst_s=20.0) as provider:
        statuses = [(await ask(http, provider)).status for _ in range(5)]
        assert statuses == [200, 200, 429, 429, 429]
        total = await provider.total()
    assert (total["served"], total["refused_429"], total["most_requests_in_a_minute"]) == (2, 3, 2)


async def test_limits_are_kept_for_each_key_and_model_apart(http: aiohttp.ClientSession) -> None:
    async with simulated_provider(rpm=1) as provider:
        asked = [("sk-a", "m1"), ("sk-a", "m1"), ("sk-b", "m1"), ("sk-a", "m2")]
        statuses = [(await ask(http, provider, key=key, model=model)).status for key, model in asked]
        assert statuses == [200, 429, 200, 200]
        assert (await provider.account("sk-a", "m1"))["refused_429"] == 1
        assert (await provider.account("sk-b", "m1"))["refused_429"] == 0


async def test_tokens_are_limited_by_prompt_and_longest_answer_and_settled_after(http: aiohttp.ClientSession) -> None:
    async with simulated_provider(tpm=1000, burst_s=60.0, output_tokens=(20, 20)) as provider:
        first = await ask(http, provider, text="abcd", max_tokens=600)
        assert first.headers["x-ratelimit-remaining-tokens"] == "399"
        second = await ask(http, provider, text="abcd", max_tokens=600)
        assert second.status == 200  # the first gave back what it did not use
        third = await ask(http, provider, text="abcd", max_tokens=999)
        assert third.status == 429
        assert (await third.json())["error"]["type"] == "tokens"


async def test_a_request_larger_than_the_minute_is_always_refused(http: aiohttp.ClientSession) -> None:
    async with simulated_provider(tpm=100) as provider:
        assert (await ask(http, provider, max_tokens=200)).status == 429


async def test_calls_at_once_are_limited(http: aiohttp.ClientSession) -> None:
    async with simulated_provider(max_parallel=2) as provider:
        await provider.faults("hang")
        hanging = [asyncio.create_task(ask(http, provider)) for _ in range(2)]
        await provider.wait_for(in_flight=2)
        assert (await ask(http, provider)).status == 429
        await provider.release()
        assert [response.status for response in await asyncio.gather(*hanging)] == [200, 200]
        assert (await provider.total())["peak_in_flight"] == 2


async def test_a_refusal_says_when_to_come_again_as_openai_says_it(http: aiohttp.ClientSession) -> None:
    async with simulated_provider(rpm=6) as provider:
        admitted, refused = await ask(http, provider), await ask(http, provider)
        assert admitted.headers["x-ratelimit-limit-requests"] == "6"
        assert admitted.headers["x-ratelimit-remaining-requests"] == "0"
        assert admitted.headers["x-ratelimit-reset-requests"] == "10s"
        assert 1 <= int(refused.headers["retry-after"]) <= 10
        assert 1 <= int(refused.headers["retry-after-ms"]) <= 10_000
        error = (await refused.json())["error"]
        assert (error["code"], error["type"]) == ("rate_limit_exceeded", "requests")


async def test_headers_can_be_left_out(http: aiohttp.ClientSession) -> None:
    async with simulated_provider(rpm=1, rate_limit_headers=False) as provider:
        for response in (await ask(http, provider), await ask(http, provider)):
            assert not [name for name in response.headers if name.lower().startswith(("x-ratelimit", "retry-after"))]


async def test_limits_can_be_changed_while_it_runs(http: aiohttp.ClientSession, provider: SimulatedProvider) -> None:
    assert (await ask(http, provider)).status == 200
    await provider.limits(rpm=0, model=MODEL)
    assert (await ask(http, provider)).status == 429
    assert (await ask(http, provider, model="another")).status == 200


async def test_the_official_client_works_unchanged(provider: SimulatedProvider) -> None:
    async with openai.AsyncOpenAI(base_url=provider.url, api_key="sk-a", max_retries=0) as client:
        whole = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Hello"}], max_tokens=30, n=2
        )
        assert [choice.finish_reason for choice in whole.choices] == ["length", "length"]
        assert whole.usage is not None
        assert whole.usage.completion_tokens == 60
        embedded = await client.embeddings.create(model="embed", input=["a", "b"], dimensions=8)
        as_floats = await client.embeddings.create(model="embed", input="a", dimensions=8, encoding_format="float")
        assert as_floats.data[0].embedding == pytest.approx(embedded.data[0].embedding)
        assert sum(number**2 for number in as_floats.data[0].embedding) == pytest.approx(1)
        assert embedded.data[0].embedding != embedded.data[1].embedding


async def test_a_stream_gives_the_same_text_as_the_whole_answer_and_its_usage(provider: SimulatedProvider) -> None:
    async with openai.AsyncOpenAI(base_url=provider.url, api_key="sk-a", max_retries=0) as client:
        whole = await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hello"}])
        chunks = [
            chunk
            async for chunk in await client.chat.completions.create(
                model=MODEL,
                messages=[{"role": "user", "content": "Hello"}],
                stream=True,
                stream_options={"include_usage": True},
            )
        ]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage


async def test_a_json_format_gets_json(http: aiohttp.ClientSession, provider: SimulatedProvider) -> None:
    answer = await (await ask(http, provider, response_format={"type": "json_object"})).json()
    assert answer["choices"][0]["message"]["content"].startswith('{"answer": ')


async def test_only_accepted_keys_and_existing_models_are_served(http: aiohttp.ClientSession) -> None:
    async with simulated_provider(api_keys=["sk-right"], models=[MODEL]) as provider:
        assert (await ask(http, provider, key="sk-wrong")).status == 401
        assert (await ask(http, provider, key="sk-right", model="other")).status == 404
        assert (await ask(http, provider, key="sk-right")).status == 200


@pytest.mark.parametrize(
    "request_members",
    [
        {"messages": []},
        {"messages": [{"role": "user"}]},
        {"max_tokens": 0},
        {"model": ""},
        {"n": 1000},
        {"messages": "x"},
    ],
)
async def test_a_wrong_request_is_refused_by_name(
    http: aiohttp.ClientSession, provider: SimulatedProvider, request_members: dict[str, Any]
) -> None:
    response = await ask(http, provider, **request_members)
    assert response.status == 400
    assert (await response.json())["error"]["param"].startswith(next(iter(request_members)))


@pytest.mark.parametrize(
    ("kind", "rule", "status", "code"),
    [
        ("status", {"status": 503}, 503, None),
        ("status", {"status": 429}, 429, "rate_limit_exceeded"),
        ("context_length_exceeded", {}, 400, "context_length_exceeded"),
        ("content_filter", {}, 400, "content_filter"),
        ("insufficient_quota", {}, 429, "insufficient_quota"),
    ],
)
async def test_a_fault_strikes_as_often_as_it_was_told_to(
    http: aiohttp.ClientSession,
    provider: SimulatedProvider,
    kind: str,
    rule: dict[str, Any],
    status: int,
    code: str | None,
) -> None:
    await provider.faults(kind, count=1, retry_after_s=7, **rule) if rule else await provider.faults(kind, count=1)
    struck, spared = await ask(http, provider), await ask(http, provider)
    assert (struck.status, (await struck.json())["error"]["code"], spared.status) == (status, code, 200)
    assert struck.headers.get("retry-after") == ("7" if rule else None)


async def test_a_fault_strikes_only_the_calls_it_is_meant_for(
    http: aiohttp.ClientSession, provider: SimulatedProvider
) -> None:
    await provider.faults("status", contains="poison")
    assert (await ask(http, provider, text="a poison pill")).status == 500
    assert (await ask(http, provider, text="a good one")).status == 200


async def test_an_unknown_fault_is_refused(http: aiohttp.ClientSession, provider: SimulatedProvider) -> None:
    control = provider.url.removesuffix("/v1") + "/_simulator/faults"
    for rule in ({"kind": "meteor"}, {"kind": "hang", "often": 3}):
        async with http.post(control, json=rule) as response:
            assert response.status == 400


async def test_a_disconnect_closes_the_connection_without_an_answer(
    http: aiohttp.ClientSession, provider: SimulatedProvider
) -> None:
    await provider.faults("disconnect", count=1)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await ask(http, provider)
    assert (await provider.wait_until_idle())["failed"] == 1


async def test_a_disconnect_cuts_a_stream_in_the_middle(provider: SimulatedProvider) -> None:
    await provider.faults("disconnect", count=1)
    async with openai.AsyncOpenAI(base_url=provider.url, api_key="sk-a", max_retries=0) as client:
        chunks = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Hello"}], stream=True
        )
        assert (await anext(chunks)).choices
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            [chunk async for chunk in chunks]


async def test_a_stream_is_cut_at_a_byte(http: aiohttp.ClientSession, provider: SimulatedProvider) -> None:
    await provider.faults("cut_stream", at_byte=333)
    request = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "stream": True}
    async with http.post(f"{provider.url}/chat/completions", json=request) as response:
        assert len(await response.content.readexactly(333)) == 333
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.read(1)


async def test_a_client_that_hangs_up_ends_its_call(http: aiohttp.ClientSession, provider: SimulatedProvider) -> None:
    await provider.faults("hang")
    call = asyncio.create_task(ask(http, provider))
    await provider.wait_for(in_flight=1)
    call.cancel()
    assert (await provider.wait_until_idle())["aborted"] == 1


async def test_every_content_is_counted(http: aiohttp.ClientSession, provider: SimulatedProvider) -> None:
    await provider.faults("status", contains="unlucky", count=1)
    for text in ("once", "unlucky", "unlucky"):
        await ask(http, provider, text)
    assert await provider.calls_of("once") == {"begun": 1, "answered": 1}
    assert await provider.calls_of("unlucky") == {"begun": 2, "answered": 1}
    assert await provider.calls_of("never") == {"begun": 0, "answered": 0}
    await provider.reset()
    assert await provider.calls_of("once") == {"begun": 0, "answered": 0}


async def test_rates_from_the_start_strike_their_share(http: aiohttp.ClientSession) -> None:
    async with simulated_provider(error_rate=0.5, seed=1) as provider:
        statuses = [(await ask(http, provider)).status for _ in range(40)]
    assert set(statuses) == {200, 500}
    assert 8 <= statuses.count(500) <= 32


async def test_every_call_is_remembered_with_its_moment_and_model_the_refused_ones_too(
    http: aiohttp.ClientSession, provider: SimulatedProvider
) -> None:
    begun = asyncio.get_running_loop().time()
    await provider.limits(rpm=0)
    await ask(http, provider, "refused")
    await provider.limits(rpm=None)
    await ask(http, provider, "served")
    first, second = await provider.arrivals()
    assert (first.asks("refused"), second.asks("served"), first.model) == (True, True, MODEL)
    assert begun <= first.at <= second.at <= asyncio.get_running_loop().time()
