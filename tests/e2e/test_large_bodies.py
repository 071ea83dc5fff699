"""Large bodies in whole installations."""

from pathlib import Path
from typing import Any

import aio_pika
import pytest
from aiohttp import web

from forebay.client import AsyncClient
from shared.adapters.embedded.valkey import EmbeddedValkey
from shared.adapters.rabbitmq.names import queue_name
from shared.domain.lanes import JobClass, QueueName
from tests.e2e.processes import ADMIN_KEY, forebay, up, write_config
from tests.eventually import eventually
from tests.servers.rabbitmq import RestartableRabbitMQ
from tests.servers.web import serving

MIB = 1024 * 1024
PROMPT = "x" * 3 * MIB
STANDARD = queue_name(QueueName("sim", JobClass("standard")))


async def complete(request: web.Request) -> web.Response:
    """Answer a long prompt with an answer that is longer."""
    asked = (await request.json())["messages"][-1]["content"]
    message = {"role": "assistant", "content": asked + "y" * 2 * MIB}
    return web.json_response({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": {}})


def provider() -> web.Application:
    app = web.Application(client_max_size=2**30)
    app.router.add_post("/v1/chat/completions", complete)
    return app


async def submitted(client: AsyncClient) -> str:
    job = await client.submit({"request": {"model": "sim", "messages": [{"role": "user", "content": PROMPT}]}})
    return str(job["id"])


def is_right(job: dict[str, Any]) -> bool:
    return bool(job["response"]["choices"][0]["message"]["content"] == PROMPT + "y" * 2 * MIB)


def names_below(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*.json")]


async def until_deleted(requests: Path) -> None:
    """Wait until no request is left: it is deleted only after the job's end is stored."""

    async def are_gone() -> bool:
        return names_below(requests) == []

    await eventually(are_gone)


async def test_separate_roles_pass_large_bodies_round_rabbitmq(
    tmp_path: Path, restartable_rabbitmq: RestartableRabbitMQ
) -> None:
    store = EmbeddedValkey(tmp_path / "store")
    settings = {
        "FOREBAY_REDIS_URL": await store.start(),
        "FOREBAY_AMQP_URL": restartable_rabbitmq.url,
        "FOREBAY_ADMIN_KEY": ADMIN_KEY,
        "FOREBAY_FILES_URL": (tmp_path / "files").as_uri(),
    }
    try:
        async with serving(provider()) as url:
            config = str(write_config(tmp_path, f"{url}/v1"))
            async with (
                forebay("api", "--port", "0", "--config", config, settings=settings) as api,
                AsyncClient(api.ready["name"], ADMIN_KEY) as client,
            ):
                job_id = await submitted(client)
                assert await size_of_the_first_message(restartable_rabbitmq.url) < 2_000
                assert names_below(tmp_path / "files" / "requests") == [f"{job_id}.json"]
                async with forebay("worker", "--config", config, settings=settings):
                    assert is_right(await client.wait_for_job(job_id))
                    await until_deleted(tmp_path / "files" / "requests")
                assert len(names_below(tmp_path / "files" / "results")) == 1
    finally:
        await store.stop()


async def size_of_the_first_message(amqp_url: str) -> int:
    """Look at the message of the only job, and leave it where it is."""
    async with await aio_pika.connect(amqp_url) as connection, connection.channel() as channel:
        message = await (await channel.get_queue(STANDARD)).get()
        assert message is not None
        await message.nack(requeue=True)
        return len(message.body)


@pytest.mark.timeout(60)
async def test_all_in_one_keeps_large_bodies_in_its_data_directory_over_a_kill(tmp_path: Path) -> None:
    async with serving(provider()) as url:
        config = write_config(tmp_path, f"{url}/v1")
        settings = {"FOREBAY_ADMIN_KEY": ADMIN_KEY}
        files = tmp_path / "data" / "files"
        async with forebay(*up(config, tmp_path), settings=settings) as first:
            async with AsyncClient(first.ready["url"], ADMIN_KEY) as client:
                job_id = await submitted(client)
                await client.wait_for_job(job_id)
            await until_deleted(files / "requests")
            first.kill()
            await first.process.wait()
        assert len(names_below(files)) == 1
        async with forebay(*up(config, tmp_path), settings=settings) as second:
            async with AsyncClient(second.ready["url"], ADMIN_KEY) as client:
                assert is_right(await client.get(job_id))
            assert await second.stop() == 0
