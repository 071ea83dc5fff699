"""`forebay up` whose embedded store dies under it."""

import asyncio
import json
import os
import signal
from pathlib import Path

from forebay.client import AsyncClient
from tests.e2e.batches import everything_succeeded_once, submit
from tests.e2e.processes import ADMIN_KEY, forebay, up, write_config
from tests.servers.provider import simulated_provider

JOBS = 50


async def test_forebay_up_ends_with_its_embedded_store_says_so_and_goes_on_when_started_again(tmp_path: Path) -> None:
    async with simulated_provider() as provider:
        await provider.faults("hang")
        command = up(write_config(tmp_path, provider.url), tmp_path)
        settings = {"FOREBAY_ADMIN_KEY": ADMIN_KEY}
        async with forebay(*command, settings=settings) as first:
            async with AsyncClient(first.ready["url"], ADMIN_KEY) as client:
                batch_id = await submit(client, JOBS)
            kill_the_store(tmp_path / "data")
            async with asyncio.timeout(60):
                assert await first.process.wait() == 1
        assert b"embedded Valkey has ended by itself" in first.said
        assert b"Traceback" not in first.said
        await provider.clear_faults()
        await provider.release()
        async with forebay(*command, settings=settings) as again, AsyncClient(again.ready["url"], ADMIN_KEY) as client:
            await everything_succeeded_once(client, batch_id, JOBS)


def kill_the_store(data: Path) -> None:
    """End the server as ``kill -9`` does."""
    (lock,) = data.rglob("server.lock")
    os.kill(json.loads(lock.read_text())["pid"], signal.SIGKILL)
