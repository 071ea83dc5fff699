"""From a client's request to its answer, over real HTTP and real queues: every claim on both transports."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from forebay.client import AsyncClient, JobQuery
from shared.domain.clock import SystemClock
from tests.e2e.processes import ADMIN_KEY, forebay, up, write_config
from tests.eventually import eventually
from tests.servers.provider import SimulatedProvider, simulated_provider

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Road:
    """A running Forebay, its client and its provider."""

    client: AsyncClient
    provider: SimulatedProvider

    async def submit(self, text: str, **members: object) -> dict[str, Any]:
        """Submit one job that asks ``text``."""
        request = {"model": "sim", "messages": [{"role": "user", "content": text}]}
        return await self.client.submit({"request": request, **members})

    async def ask(self, text: str, **members: object) -> dict[str, Any]:
        """Submit one job and wait for its end."""
        job = await self.submit(text, **members)
        return await self.client.wait_for_job(job["id"])


@pytest_asyncio.fixture(params=["rabbitmq", "streams"], scope="module", loop_scope="module")
async def one_road(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Road]:
    folder = tmp_path_factory.mktemp("road")
    settings = {"FOREBAY_ADMIN_KEY": ADMIN_KEY}
    if request.param == "rabbitmq":
        settings["FOREBAY_AMQP_URL"] = request.getfixturevalue("rabbitmq_url")
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(simulated_provider())
        command = up(write_config(folder, provider.url), folder)
        process = await stack.enter_async_context(forebay(*command, settings=settings))
        client = await stack.enter_async_context(AsyncClient(process.ready["url"], ADMIN_KEY))
        yield Road(client, provider)
        assert await process.stop() == 0


@pytest_asyncio.fixture(loop_scope="module")
async def road(one_road: Road) -> Road:
    """The road, with a provider that has no faults."""
    await one_road.provider.reset()
    return one_road


async def test_a_job_is_answered_with_its_usage_its_cost_and_its_attempts(road: Road) -> None:
    job = await road.ask("What is a turbine?", attribution={"project": "p"}, metadata={"page": "7"})
    assert job["status"] == "succeeded"
    assert job["response"]["choices"][0]["message"]["content"]
    usage = job["usage"]
    assert job["cost_usd"] == pytest.approx((usage["input_tokens"] + 2 * usage["output_tokens"]) / 1e6)
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["succeeded"]
    assert (job["cache"], job["metadata"]) == ("miss", {"page": "7"})


async def test_a_repeated_question_is_answered_at_once(road: Road) -> None:
    first = await road.ask("Twice")
    again = await road.submit("Twice")
    assert (again["status"], again["cache"], again["cost_usd"]) == ("succeeded", "hit", 0)
    assert again["response"] == first["response"]


@pytest.mark.parametrize("priority", ["interactive", "standard", "bulk", "deferrable"])
async def test_every_priority_is_served(road: Road, priority: str) -> None:
    job = await road.ask(f"Serve {priority}", priority=priority)
    assert (job["status"], job["priority"]) == ("succeeded", priority)


async def test_a_failing_provider_is_asked_again_after_a_while(road: Road) -> None:
    await road.provider.faults("status", status=503, count=1)
    job = await road.ask("Try again")
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["overloaded", "succeeded"]


async def test_a_job_that_cannot_be_answered_fails_with_the_reason(road: Road) -> None:
    await road.provider.faults("context_length_exceeded")
    job = await road.ask("Far too long")
    assert (job["status"], job["error"]["code"]) == ("failed", "context_length_exceeded")
    assert len(job["attempts"]) == 1


async def test_a_job_runs_when_its_time_has_come(road: Road) -> None:
    soon = await road.submit("Soon", run_at=_in_seconds(1.5))
    assert soon["status"] == "scheduled"
    job = await road.client.wait_for_job(soon["id"])
    assert job["status"] == "succeeded"
    waited = datetime.fromisoformat(job["started_at"]) - datetime.fromisoformat(job["created_at"])
    assert waited.total_seconds() >= 1.4


async def test_a_cancelled_jobs_call_is_broken_off(road: Road) -> None:
    await road.provider.faults("hang")
    job = await road.submit("Never mind")
    await road.provider.wait_for(in_flight=1)
    assert (await road.client.cancel(job["id"]))["status"] == "cancelled"
    await road.provider.wait_until_idle()


async def test_a_bulk_upload_is_answered_line_by_line(road: Road) -> None:
    async def lines() -> AsyncIterator[bytes]:
        for number in range(200):
            text = f'{{"request":{{"model":"sim","messages":[{{"role":"user","content":"Line {number}"}}]}}}}\n'
            yield text.encode() if number != 100 else b"{broken\n"

    receipt = await road.client.submit_bulk(lines())
    assert receipt["accepted"] == 199
    assert [rejected["line"] for rejected in receipt["rejected"]] == [101]

    async def is_completed() -> bool:
        batch = await road.client.batch(receipt["batch_id"])
        return bool(batch["request_counts"]["completed"] == 199)

    await eventually(is_completed)
    jobs = [job async for job in road.client.jobs(JobQuery(batch=receipt["batch_id"]))]
    assert len(jobs) == 199


async def test_a_waiting_client_is_answered_when_its_job_is_finished(road: Road) -> None:
    await road.provider.faults("hang", count=1)
    job = await road.submit("Worth waiting for")
    await road.provider.wait_for(in_flight=1)
    waiting = asyncio.create_task(road.client.get(job["id"], wait_s=60))
    await road.provider.release()
    assert (await waiting)["status"] == "succeeded"


def _in_seconds(seconds: float) -> str:
    moment = datetime.fromtimestamp(SystemClock().now() + seconds, UTC)
    return moment.isoformat()
