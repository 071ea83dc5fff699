"""An API that is killed while clients of the OpenAI API wait on it for their answers."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import openai
import pytest
from openai import AsyncOpenAI

from forebay.client import AsyncClient, JobQuery
from shared.adapters.embedded.valkey import EmbeddedValkey
from tests.e2e.processes import ADMIN_KEY, forebay, write_config
from tests.servers.provider import simulated_provider

TEXT = "Worth waiting for"
ROLES = (("api", "--port", "0"), ("api", "--port", "0"), ("worker",))


def openai_client(url: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{url}/v1", api_key=ADMIN_KEY, max_retries=0)


@pytest.mark.timeout(120)
async def test_a_killed_api_loses_no_answer_that_somebody_waited_for(tmp_path: Path, rabbitmq_url: str) -> None:
    async with AsyncExitStack() as stack:
        store = EmbeddedValkey(tmp_path / "store")
        settings = {"FOREBAY_REDIS_URL": await store.start(), "FOREBAY_AMQP_URL": rabbitmq_url}
        settings["FOREBAY_ADMIN_KEY"] = ADMIN_KEY
        stack.push_async_callback(store.stop)
        provider = await stack.enter_async_context(simulated_provider())
        config = str(write_config(tmp_path, provider.url))
        killed, other, _ = await asyncio.gather(
            *(stack.enter_async_context(forebay(*role, "--config", config, settings=settings)) for role in ROLES)
        )
        first = await stack.enter_async_context(openai_client(killed.ready["name"]))
        second = await stack.enter_async_context(openai_client(other.ready["name"]))
        native = await stack.enter_async_context(AsyncClient(other.ready["name"], ADMIN_KEY))

        async def ask(client: AsyncOpenAI, **headers: str) -> str | None:
            answer = await client.chat.completions.create(
                model="sim", messages=[{"role": "user", "content": TEXT}], extra_headers=headers
            )
            return answer.choices[0].message.content

        await provider.faults("hang")
        waiting = asyncio.create_task(ask(first, **{"Idempotency-Key": "once"}))
        await provider.wait_for(in_flight=1)
        killed.kill()
        with pytest.raises(openai.APIConnectionError):
            await waiting
        await provider.release()
        [asked] = [job async for job in native.jobs(JobQuery())]
        job = await native.wait_for_job(asked["id"])
        answered = job["response"]["choices"][0]["message"]["content"]
        assert await ask(second, **{"Idempotency-Key": "once"}) == answered
        assert await provider.calls_of(TEXT) == {"begun": 1, "answered": 1}
