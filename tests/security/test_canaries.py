"""What must not be written down is written down nowhere."""

import json
from pathlib import Path

import aiohttp
from redis.asyncio import Redis

from forebay.client import AsyncClient, JobQuery
from shared.adapters.embedded.directory_lock import holder_of
from shared.adapters.redis.connection import connect
from shared.adapters.streams.work_queue import StreamsWorkQueue
from shared.domain.clock import SystemClock
from tests.e2e.processes import forebay, up, write_config
from tests.eventually import eventually
from tests.servers.provider import simulated_provider

ADMIN_KEY = "fb-canary-admin-key"
PROVIDER_KEY = "sk-canary-provider-key"
PROMPT = "canary-prompt"


async def test_no_key_and_no_prompt_reaches_a_log_an_error_or_a_dead_letters_headers(tmp_path: Path) -> None:
    async with simulated_provider() as provider:
        config = write_config(tmp_path, provider.url, api_key=PROVIDER_KEY)
        config.write_text(config.read_text() + "router_settings: {num_retries: 0}\n")
        settings = {"FOREBAY_ADMIN_KEY": ADMIN_KEY, "FOREBAY_LOG_LEVEL": "debug"}
        command = up(config, tmp_path)
        async with forebay(*command, settings=settings) as process:
            url = process.ready["url"]
            async with AsyncClient(url, ADMIN_KEY) as client:
                await _submit(client, f"{PROMPT} answered", "succeeded")
                for status in (400, 401, 429, 500):
                    await provider.faults("status", status=status, count=1)
                    await _submit(client, f"{PROMPT} {status}", None)
                await provider.faults("content_filter", contains="refused")
                await _submit(client, f"{PROMPT} refused", "failed")
                errors = [job["error"] async for job in client.jobs(JobQuery(status="failed"))]
            refusals = [await _refusal(url, body) for body in _bad_bodies()]
            headers = await _headers_of_dead_letters(_store_url(tmp_path))
            assert await process.stop() == 0
    written = {"errors": json.dumps(errors), "refusals": "".join(refusals), "headers": headers}
    assert len(errors) >= 4
    assert len(headers) > 2
    assert "job finished" in process.said.decode()
    leaks = {where for where, text in written.items() if "canary" in text}
    assert not leaks
    assert b"canary" not in process.said


async def _submit(client: AsyncClient, prompt: str, status: str | None) -> None:
    job = await client.submit({"request": {"model": "sim", "messages": [{"role": "user", "content": prompt}]}})

    async def is_over() -> bool:
        seen = await client.get(job["id"])
        return bool(seen["status"] == status if status else seen["attempts"])

    await eventually(is_over)


def _bad_bodies() -> list[bytes]:
    return [
        PROMPT.encode(),
        json.dumps({"request": PROMPT}).encode(),
        json.dumps({"request": {"model": "sim", "messages": PROMPT}}).encode(),
        json.dumps({"request": {"model": "sim", "messages": [{"role": "user", "text": PROMPT}]}}).encode(),
        json.dumps({"request": {"model": "sim", "messages": [{"role": PROMPT}]}}).encode(),
        json.dumps({"request": {"model": "sim", "messages": []}, "priority": "urgent"}).encode(),
    ]


async def _refusal(url: str, body: bytes) -> str:
    headers = {"authorization": f"Bearer {ADMIN_KEY}", "content-type": "application/json"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/v1/jobs", data=body, headers=headers) as answer,
    ):
        assert answer.status == 400
        return await answer.text()


async def _headers_of_dead_letters(store_url: str) -> str:
    client = connect(store_url)
    assert isinstance(client, Redis)
    queue = StreamsWorkQueue(client, SystemClock(), lambda _: None)
    await queue.open()
    try:
        letters = await queue.dead_letters(100)
    finally:
        await queue.close()
        await client.aclose()
    return json.dumps([{"reason": letter.reason, **letter.message.headers} for letter in letters])


def _store_url(folder: Path) -> str:
    [lock] = folder.rglob("server.lock")  # the socket itself stands elsewhere, where the folder's path is long
    return f"unix://{holder_of(lock)['socket']}"
