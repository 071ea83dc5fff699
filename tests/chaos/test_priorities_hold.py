"""Interactive work overtakes everything that waits, and nothing starves for it."""

import asyncio
from pathlib import Path

import pytest

from tests.e2e.configs import model, write
from tests.e2e.installations import cluster
from tests.e2e.load import answered, ask, job, upload
from tests.eventually import eventually
from tests.servers.provider import simulated_provider

PER_SECOND = 20
BACKLOG = {"standard": 400, "bulk": 400}
OVERTAKEN_BY_AT_MOST = 2 * PER_SECOND
"""Calls that may begin between the submission of an interactive job and its own call.

Those that were at the gate, and those of the time that a busy machine takes to bring it there; not the backlog.
"""


@pytest.mark.timeout(180)
@pytest.mark.hazard(8)
async def test_an_interactive_job_does_not_wait_behind_a_backlog_and_every_class_progresses(
    lane: str, tmp_path: Path, rabbitmq_url: str
) -> None:
    async with simulated_provider(rpm=PER_SECOND * 60, latency_s=(0.1, 0.3)) as provider:
        config = write(tmp_path, model(lane, provider.url, rpm=PER_SECOND * 60))
        async with cluster(tmp_path, config, rabbitmq_url) as running:
            client = running.client
            batches = {
                priority: await upload(client, (job(lane, f"{priority} {n}", priority=priority) for n in range(jobs)))
                for priority, jobs in BACKLOG.items()
            }

            async def each_class_progressed() -> bool:
                return all([await answered(client, batch) > 0 for batch in batches.values()])

            await eventually(each_class_progressed)
            texts = [f"At once, please {number}" for number in range(10)]
            asked_at = []
            for text in texts:
                asked_at.append(asyncio.get_running_loop().time())
                found = await ask(client, job(lane, text, priority="interactive"))
                assert found["status"] == "succeeded"
            arrivals = await provider.arrivals()
            left = {priority: BACKLOG[priority] - await answered(client, batch) for priority, batch in batches.items()}
    assert all(left.values()), "the backlog was gone before the interactive jobs were"
    for text, at in zip(texts, asked_at, strict=True):
        (call,) = [arrival for arrival in arrivals if arrival.asks(text)]
        assert sum(at < other.at < call.at for other in arrivals) <= OVERTAKEN_BY_AT_MOST
