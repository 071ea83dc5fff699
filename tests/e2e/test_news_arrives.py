"""Whoever asked to be told of a job's end is told, whichever process dies at the worst moment; each end has one id."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from forebay.client import AsyncClient
from shared.adapters.embedded.valkey import EmbeddedValkey
from tests.e2e.configs import model, write
from tests.e2e.processes import ADMIN_KEY, Running, forebay
from tests.eventually import eventually
from tests.servers.proxy import Proxy, proxy_to, tcp
from tests.servers.rabbitmq import RestartableRabbitMQ
from tests.servers.receiver import Receiver, dawdle, receiver, take
from tests.servers.web import serving

CHAT = {"model": "sim", "messages": [{"role": "user", "content": "What is new?"}]}


@dataclass
class HeldProvider:
    """Answers when it is told to. asked: calls that came."""

    asked: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def complete(self, _request: web.Request) -> web.Response:
        self.asked += 1
        await self.released.wait()
        message = {"role": "assistant", "content": "Nothing."}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response({"object": "chat.completion", "choices": [choice], "usage": usage})


@dataclass
class Roles:
    """Processes of ours on servers of the test's own, started and killed one by one."""

    stack: AsyncExitStack
    config: Path
    settings: dict[str, str]
    provider: HeldProvider
    hook: Receiver
    amqp: URL

    async def start(self, *role: str, amqp_url: str | None = None) -> Running:
        settings = self.settings | ({} if amqp_url is None else {"FOREBAY_AMQP_URL": amqp_url})
        return await self.stack.enter_async_context(forebay(*role, "--config", str(self.config), settings=settings))

    async def api(self) -> tuple[Running, AsyncClient]:
        running = await self.start("api", "--port", "0")
        return running, await self.stack.enter_async_context(AsyncClient(running.ready["name"], ADMIN_KEY))

    async def submit(self, client: AsyncClient) -> str:
        """Submit a job whose end the receiver is to be told of."""
        job = await client.submit({"request": CHAT, "cache": {"mode": "off"}, "callback": {"webhook": self.hook.url}})
        return str(job["id"])

    async def until_asked(self, calls: int) -> None:
        async def is_asked() -> bool:
            return self.provider.asked == calls

        await eventually(is_asked)

    async def told(self, events: int = 1) -> set[str]:
        """Wait for so many different events; give the ids of their jobs. Whatever came, came under these events' ids."""

        async def are_told() -> bool:
            return len(self.hook.ids) >= events

        await eventually(are_told)
        assert len(self.hook.ids) == len(self.hook.seen) == events
        assert {received.event["type"] for received in self.hook.received} == {"job.succeeded"}
        jobs = {received.event["data"]["id"] for received in self.hook.received}
        assert len(jobs) == events
        return jobs


@pytest.fixture
async def roles(tmp_path: Path, restartable_rabbitmq: RestartableRabbitMQ) -> AsyncIterator[Roles]:
    provider = HeldProvider()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", provider.complete)
    async with AsyncExitStack() as stack:
        store = EmbeddedValkey(tmp_path / "store")
        settings = {
            "FOREBAY_REDIS_URL": await store.start(),
            "FOREBAY_AMQP_URL": restartable_rabbitmq.url,
            "FOREBAY_ADMIN_KEY": ADMIN_KEY,
        }
        stack.push_async_callback(store.stop)
        hook = await stack.enter_async_context(receiver())
        url = await stack.enter_async_context(serving(app))
        config = write(
            tmp_path,
            model("sim", f"{url}/v1"),
            concurrency=16,
            webhooks={"allow_networks": ["127.0.0.0/8"], "timeout": "2s"},
        )
        yield Roles(stack, config, settings, provider, hook, URL(restartable_rabbitmq.url))
        provider.released.set()
        hook.released.set()


@pytest.fixture
async def line(roles: Roles) -> AsyncIterator[Proxy]:
    """A line to RabbitMQ that can be held."""
    async with proxy_to(tcp(roles.amqp.host or "", roles.amqp.port or 5672)) as proxy:
        yield proxy


async def ask(api: Running, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Call an API process; fails when it dies meanwhile."""
    url, headers = api.ready["name"] + path, {"authorization": f"Bearer {ADMIN_KEY}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, url, json=body) as answer,
    ):
        answer.raise_for_status()
        document: dict[str, Any] = await answer.json()
        return document


async def know_the_secret(roles: Roles, api: Running) -> None:
    roles.hook.secret = (await ask(api, "GET", "/v1/webhooks/secret"))["secret"]


@pytest.mark.hazard(1)
async def test_a_worker_killed_between_the_stored_result_and_the_acknowledgement_leaves_nobody_without_news(
    roles: Roles, line: Proxy
) -> None:
    (api, client), _, doomed = await asyncio.gather(
        roles.api(),
        roles.start("couriers"),
        roles.start("worker", amqp_url=str(roles.amqp.with_host("127.0.0.1").with_port(line.port))),
    )
    await know_the_secret(roles, api)
    job_id = await roles.submit(client)
    await roles.until_asked(1)
    await roles.start("worker")  # the other one; the job is in the first one's hands
    line.freeze()  # what it would tell or acknowledge from now on does not arrive
    roles.provider.released.set()

    async def is_stored() -> bool:
        return bool((await client.get(job_id))["status"] == "succeeded")

    await eventually(is_stored)
    assert roles.hook.seen == {}
    doomed.kill()
    await doomed.process.wait()
    await line.drop()
    assert await roles.told() == {job_id}
    assert roles.provider.asked == 1


async def test_a_courier_killed_in_mid_delivery_leaves_it_to_another_under_the_same_id(roles: Roles) -> None:
    (api, client), doomed, _ = await asyncio.gather(roles.api(), roles.start("couriers"), roles.start("worker"))
    await know_the_secret(roles, api)
    roles.hook.answers = [dawdle, take]
    roles.provider.released.set()
    job_id = await roles.submit(client)

    async def is_in_mid_delivery() -> bool:
        return roles.hook.at_once == 1

    await eventually(is_in_mid_delivery)
    doomed.kill()
    await doomed.process.wait()
    await roles.start("couriers")
    assert await roles.told() == {job_id}
    assert list(roles.hook.seen.values()) == [2]


async def test_an_api_killed_in_mid_wait_costs_no_job_and_no_news(roles: Roles) -> None:
    (doomed, client), (other, _), _, _ = await asyncio.gather(
        roles.api(), roles.api(), roles.start("couriers"), roles.start("worker")
    )
    endpoint = await ask(other, "POST", "/v1/webhooks/endpoints", {"url": roles.hook.url})
    roles.hook.secret = endpoint["secret"]
    job = await client.submit({"request": CHAT, "cache": {"mode": "off"}})
    waits = [
        asyncio.create_task(ask(doomed, "GET", f"/v1/jobs/{job['id']}?wait=60")),
        asyncio.create_task(ask(doomed, "POST", "/v1/chat/completions", {**CHAT, "user": "u-17"})),
    ]
    await roles.until_asked(2)
    doomed.kill()
    ended = await asyncio.gather(*waits, return_exceptions=True)
    assert [type(each) for each in ended if not isinstance(each, aiohttp.ClientError)] == []
    roles.provider.released.set()
    jobs = await roles.told(2)
    assert job["id"] in jobs
    for job_id in jobs:
        assert (await ask(other, "GET", f"/v1/jobs/{job_id}"))["status"] == "succeeded"
    assert roles.provider.asked == 2
