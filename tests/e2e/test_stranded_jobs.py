"""An API that is killed between recording a job and publishing it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from forebay.client import AsyncClient, JobQuery
from forebay.line import Unreachable
from shared.domain.clock import SystemClock
from tests.e2e.installations import cluster
from tests.e2e.processes import ADMIN_KEY, forebay, write_config
from tests.eventually import eventually
from tests.servers.provider import simulated_provider
from tests.servers.proxy import Proxy, proxy_to, tcp

TEXT = "Stranded"
REQUEST = {"model": "sim", "messages": [{"role": "user", "content": TEXT}]}


@asynccontextmanager
async def line_to(amqp_url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """Lend a line to the broker that can be frozen, and its URL."""
    url = URL(amqp_url)
    async with proxy_to(tcp(url.host or "127.0.0.1", url.port or 5672)) as proxy:
        yield proxy, str(url.with_host("127.0.0.1").with_port(proxy.port))


@pytest.mark.timeout(120)
async def test_a_job_stranded_by_a_kill_between_record_and_publish_runs_within_a_minute(
    tmp_path: Path, rabbitmq_url: str
) -> None:
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(simulated_provider())
        config = write_config(tmp_path, provider.url)
        installation = await stack.enter_async_context(cluster(tmp_path, config, rabbitmq_url, workers=1))
        settings = {
            "FOREBAY_REDIS_URL": installation.store.url,
            "FOREBAY_AMQP_URL": rabbitmq_url,
            "FOREBAY_ADMIN_KEY": ADMIN_KEY,
        }
        line, far_url = await stack.enter_async_context(line_to(rabbitmq_url))
        doomed, *_ = await asyncio.gather(
            stack.enter_async_context(
                forebay(
                    "api", "--port", "0", "--config", str(config), settings=settings | {"FOREBAY_AMQP_URL": far_url}
                )
            ),
            *(
                stack.enter_async_context(forebay("scheduler", "--config", str(config), settings=settings))
                for _ in "ab"
            ),
        )
        client = installation.client

        line.freeze()
        submission = asyncio.create_task(submit_to(doomed.ready["name"]))

        async def is_recorded() -> list[Any]:
            return [job async for job in client.jobs(JobQuery())]

        [stranded] = await eventually(is_recorded)
        doomed.kill()
        with pytest.raises(Unreachable):
            await submission
        clock = SystemClock()
        killed_at = clock.monotonic()

        done = await client.wait_for_job(stranded["id"])
        assert done["status"] == "succeeded"
        assert clock.monotonic() - killed_at < 60
        assert (await provider.calls_of(TEXT))["begun"] == 1

        assert (await client.schedule())["leader"]["is_leading"]

        async def republished() -> list[int]:  # it is told when the duty is over, and the job may be done before
            [duty] = [duty for duty in (await client.schedule())["duties"] if duty["name"] == "republish stranded jobs"]
            return [run["did"] for run in duty["last_runs"] if run["did"]]

        assert await eventually(republished) == [1]


async def submit_to(url: str) -> None:
    async with AsyncClient(url, ADMIN_KEY) as client:
        await client.submit({"request": REQUEST})
