"""A running Forebay whose clients are the official ones of OpenAI, and providers that say what a test needs."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam

from forebay.client import JobQuery
from tests.e2e.configs import model, write
from tests.e2e.installations import Installation, everything_in_one
from tests.e2e.processes import ADMIN_KEY
from tests.servers.provider import SimulatedProvider, simulated_provider
from tests.servers.web import serving

TOOL_CALLS: list[dict[str, Any]] = [
    {"id": f"call_{city}", "type": "function", "function": {"name": "weather", "arguments": f'{{"city":"{city}"}}'}}
    for city in ("Bern", "Basel")
]


@dataclass(frozen=True)
class Desk:
    """What a test works with. asked: the bodies that the provider of ``tools`` got."""

    forebay: Installation
    openai: AsyncOpenAI
    provider: SimulatedProvider
    asked: list[dict[str, Any]]

    async def job(self, job_id: str) -> dict[str, Any]:
        """The job object."""
        return await self.forebay.client.get(job_id)

    async def newest(self) -> dict[str, Any]:
        """The job that came last."""
        return await anext(self.forebay.client.jobs(JobQuery()))


def ask(text: str) -> Iterable[ChatCompletionMessageParam]:
    """Give the messages of a question."""
    return [{"role": "user", "content": text}]


@asynccontextmanager
async def openai_desk(folder: Path) -> AsyncIterator[Desk]:
    """Run ``forebay up`` before a simulated provider (``sim``, ``embedder``, …) and one that calls tools (``tools``)."""
    async with AsyncExitStack() as stack:
        asked: list[dict[str, Any]] = []
        provider = await stack.enter_async_context(simulated_provider())
        tools = await stack.enter_async_context(serving(_caller_of_tools(asked)))
        config = write(
            folder,
            *(model(name, provider.url) for name in ("sim", "embedder", "org/sim")),
            model("tools", f"{tools}/v1"),
            router={"num_retries": 0, "disable_cooldowns": True},
        )
        installation = await stack.enter_async_context(everything_in_one(folder, config))
        client = AsyncOpenAI(base_url=f"{installation.url}/v1", api_key=ADMIN_KEY)
        await stack.enter_async_context(client)
        yield Desk(installation, client, provider, asked)


def _caller_of_tools(asked: list[dict[str, Any]]) -> web.Application:
    """Give a provider that answers whole, whatever it is asked for."""

    async def answer(request: web.Request) -> web.Response:
        asked.append(orjson.loads(await request.read()))
        message = {"role": "assistant", "content": None, "tool_calls": TOOL_CALLS, "reasoning_content": "Two cities."}
        return web.json_response(
            {
                "id": "chatcmpl-tools",
                "object": "chat.completion",
                "created": 1_750_000_000,
                "model": "tools-1",
                "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls"}],
                "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
                "x_of_the_provider": {"kept": True},
            }
        )

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    return app
