"""Programs that speak AMQP alone, against whole processes of ours."""

import asyncio
import json
import os
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aio_pika
import pytest

from shared.adapters.embedded.valkey import EmbeddedValkey
from tests.architecture.tree import ROOT
from tests.e2e.processes import ADMIN_KEY, Running, forebay, write_config
from tests.servers.provider import simulated_provider
from tests.servers.rabbitmq import RestartableRabbitMQ

JOBS = 200
PROGRAM = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Site:
    """A store, a broker, a provider and a worker; other roles are started as they are needed."""

    settings: Mapping[str, str]
    config: Path

    @property
    def amqp_url(self) -> str:
        return self.settings["FOREBAY_AMQP_URL"]

    def role(self, *role: str) -> AbstractAsyncContextManager[Running]:
        return forebay(*role, "--config", str(self.config), settings=self.settings)


@pytest.fixture
async def site(tmp_path: Path, restartable_rabbitmq: RestartableRabbitMQ) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        store = EmbeddedValkey(tmp_path / "store")
        settings = {
            "FOREBAY_REDIS_URL": await store.start(),
            "FOREBAY_AMQP_URL": restartable_rabbitmq.url,
            "FOREBAY_ADMIN_KEY": ADMIN_KEY,
            "FOREBAY_LOG_LEVEL": "debug",
        }
        stack.push_async_callback(store.stop)
        provider = await stack.enter_async_context(simulated_provider(latency_s=(0.0, 0.02)))
        site = Site(settings, write_config(tmp_path, provider.url))
        await stack.enter_async_context(site.role("worker"))
        yield site


async def run(program: str, settings: Mapping[str, str]) -> tuple[int, str, str]:
    """Run a program of its own process; give its exit status and what it wrote."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), env={**os.environ, **settings}, stdout=PIPE, stderr=PIPE
    )
    async with asyncio.timeout(60):
        stdout, stderr = await process.communicate()
    assert process.returncode is not None
    return process.returncode, stdout.decode(), stderr.decode()


async def test_the_program_of_the_document_submits_and_gets_its_replies(site: Site) -> None:
    [program] = PROGRAM.findall((ROOT / "docs" / "amqp.md").read_text("utf-8"))
    assert len(program.splitlines()) < 60
    assert "forebay" not in "".join(line for line in program.splitlines() if "import" in line)
    async with site.role("api", "--port", "0") as api, site.role("couriers") as couriers:
        settings = {"AMQP_URL": site.amqp_url, "FOREBAY_KEY": ADMIN_KEY, "MODEL": "sim"}
        status, written, complaints = await run(program, settings)
        assert (status, complaints) == (0, "")
        first, rejected, directly = written.splitlines()
        assert first.startswith("succeeded in forebay.reply.")
        assert rejected == "rejected: model_not_found"
        assert directly.startswith("succeeded in amq.rabbitmq.reply-t")
        assert await api.stop() == 0
        assert await couriers.stop() == 0
    for role in (api, couriers):
        assert ADMIN_KEY.encode() not in role.said
        assert b"Name three" not in role.said


@pytest.mark.timeout(180)
async def test_an_api_and_a_courier_that_are_killed_cost_no_job_and_no_reply(site: Site) -> None:
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(await aio_pika.connect(site.amqp_url))
        channel = await connection.channel(on_return_raises=True)
        replies = await channel.declare_queue("forebay.reply.of-the-survivor", exclusive=True)
        arrived: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()
        await replies.consume(arrived.put, no_ack=True)
        doomed = await asyncio.gather(
            stack.enter_async_context(site.role("api", "--port", "0")), stack.enter_async_context(site.role("couriers"))
        )
        exchange = await channel.get_exchange("forebay.submit")
        for number in range(JOBS):
            await exchange.publish(_submission(number, replies.name), "")
        told = {await _next(arrived) for _ in range(10)}
        for role in doomed:
            role.kill()
        await asyncio.gather(
            stack.enter_async_context(site.role("api", "--port", "0")), stack.enter_async_context(site.role("couriers"))
        )
        while len({submission for submission, _, _ in told}) < JOBS:
            told.add(await _next(arrived))
        assert len(told) == JOBS  # whatever came twice was the same


def _submission(number: int, reply_to: str) -> aio_pika.Message:
    request = {"model": "sim", "messages": [{"role": "user", "content": f"Question {number}"}], "max_tokens": 8}
    return aio_pika.Message(
        json.dumps({"request": request}).encode(),
        message_id=f"survivor-{number}",
        correlation_id=str(number),
        reply_to=reply_to,
        headers={"x-api-key": ADMIN_KEY},
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )


async def _next(arrived: "asyncio.Queue[aio_pika.abc.AbstractIncomingMessage]") -> tuple[str, str, str]:
    """Wait for a reply; give its submission, its job and its own id."""
    async with asyncio.timeout(60):
        message = await arrived.get()
    job = json.loads(message.body)
    assert job["status"] == "succeeded"
    return str(message.correlation_id), job["id"], str(message.message_id)
