"""Webhooks of a whole `forebay up`, which is killed while one is being delivered."""

import asyncio
from pathlib import Path

import aiohttp.web
import yaml

from forebay.client import AsyncClient
from tests.e2e.processes import ADMIN_KEY, forebay, up, write_config
from tests.eventually import eventually
from tests.servers.provider import simulated_provider
from tests.servers.receiver import Receiver, receiver

PROMPT = "canary-prompt"


async def test_a_webhook_whose_courier_was_killed_in_mid_delivery_arrives_with_the_same_id(tmp_path: Path) -> None:
    async with simulated_provider() as provider, receiver() as hook:
        command = up(_config(tmp_path, provider.url), tmp_path)
        settings = {"FOREBAY_ADMIN_KEY": ADMIN_KEY, "FOREBAY_LOG_LEVEL": "debug"}
        arrived = asyncio.Event()

        async def never_answer(_hook: Receiver, _request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
            arrived.set()
            await hook.released.wait()
            return aiohttp.web.Response()

        hook.answers.insert(0, never_answer)
        async with forebay(*command, settings=settings) as first, AsyncClient(first.ready["url"], ADMIN_KEY) as client:
            hook.secret = await _secret(first.ready["url"])
            callback = {"webhook": f"{hook.url}?token=canary-token"}
            request = {"model": "sim", "messages": [{"role": "user", "content": PROMPT}]}
            job = await client.submit({"request": request, "callback": callback})
            async with asyncio.timeout(60):
                await arrived.wait()
            first.kill()
            await first.process.wait()
        async with forebay(*command, settings=settings) as second:

            async def has_come() -> bool:
                return bool(hook.received)

            await eventually(has_come, within_s=40)
            assert await second.stop() == 0
    assert hook.ids == hook.seen.keys() == {f"evt_{job['id'].removeprefix('job_')}"}
    assert hook.received[0].event["data"]["status"] == "succeeded"
    said = bytes(first.said + second.said)
    assert b"webhook attempted" in said
    for canary in (b"canary", hook.secret.encode()):
        assert canary not in said


def _config(folder: Path, provider_url: str) -> Path:
    """Write a configuration that allows webhooks to this machine; a lost attempt is made again after 6 s."""
    file = write_config(folder, provider_url)
    document = yaml.safe_load(file.read_text())
    document["forebay"]["webhooks"] = {"allow_networks": ["127.0.0.0/8"], "timeout": "1s"}
    file.write_text(yaml.safe_dump(document))
    return file


async def _secret(url: str) -> str:
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    async with aiohttp.ClientSession() as session, session.get(f"{url}/v1/webhooks/secret", headers=headers) as answer:
        secret: str = (await answer.json())["secret"]
        return secret
