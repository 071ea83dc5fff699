"""A provider that fails in one way after another costs no job, gets few calls, and comes back without a burst."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import accumulate, count, takewhile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from forebay.client import AsyncClient
from shared.domain.clock import SystemClock
from tests.chaos.windows import most_within
from tests.e2e.configs import model, write
from tests.e2e.installations import everything_in_one
from tests.e2e.load import Job, job, moment, steadily
from tests.eventually import eventually
from tests.servers.provider import simulated_provider
from tests.servers.proxy import proxy_to, tcp

PER_SECOND = 10
ALLOWED_FAILS = 3
COOLDOWN_S = 1.0
TIMEOUT_S = 1.0
ON_THE_WAY = 4
"""Calls that may have begun before the failures that open the breaker are known to all."""


class SteadyWork:
    """Jobs at an even rate; ``done`` are those that are finished."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._is_over = False
        self.done: list[Job] = []

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Submit until the block ends, and wait for the last."""
        questions = (job("main", f"Question {number}") for number in takewhile(lambda _: not self._is_over, count()))
        async with asyncio.TaskGroup() as asking:
            asking.create_task(steadily(self._client, questions, PER_SECOND, self.done))
            yield
            self._is_over = True

    async def passes(self, jobs: int) -> None:
        """Wait until that many more are finished."""
        enough = len(self.done) + jobs

        async def look() -> bool:
            return len(self.done) >= enough

        await eventually(look)

    async def is_served_by(self, deployment: str, jobs: int) -> None:
        """Wait until that many in a row were served by it."""

        async def look() -> bool:
            last = self.done[-jobs:]
            return len(last) == jobs and {found["served_by"] for found in last} == {deployment}

        await eventually(look, within_s=60)


@pytest.mark.timeout(120)
@pytest.mark.hazard(18)
async def test_a_primary_that_fails_then_refuses_then_hangs_costs_no_job_and_is_hardly_called(tmp_path: Path) -> None:
    async with (
        simulated_provider(latency_s=(0.05, 0.1)) as primary,
        simulated_provider(latency_s=(0.05, 0.1)) as spare,
        proxy_to(tcp("127.0.0.1", urlsplit(primary.url).port or 0)) as line,
    ):
        config = write(
            tmp_path,
            model("main", f"http://127.0.0.1:{line.port}/v1", order=1, timeout=TIMEOUT_S),
            model("spare", spare.url),
            router={
                "fallbacks": [{"main": ["spare"]}],
                "allowed_fails": ALLOWED_FAILS,
                "cooldown_time": COOLDOWN_S,
                "num_retries": 3,
            },
        )
        async with everything_in_one(tmp_path, config) as running:
            work = SteadyWork(running.client)
            async with work.going_on():
                await work.passes(PER_SECOND // 2)
                deployment = work.done[0]["served_by"]
                down_since = SystemClock().now()
                await primary.faults("status", status=503)
                await work.passes(2 * PER_SECOND)
                await line.go_away()
                await primary.clear_faults()
                await work.passes(2 * PER_SECOND)
                await primary.faults("hang")
                await line.listen()
                await work.passes(2 * PER_SECOND)
                await primary.clear_faults()
                await primary.release()
                up_since = SystemClock().now()
                await work.is_served_by(deployment, 2 * PER_SECOND)
    assert {found["status"] for found in work.done} == {"succeeded"}
    calls = sorted(
        moment(attempt["started"])
        for found in work.done
        for attempt in found["attempts"]
        if attempt["deployment"] == deployment
    )
    in_the_outage = [at for at in calls if down_since <= at < up_since]
    allowed = ALLOWED_FAILS + 1 + ON_THE_WAY + probes(up_since - down_since)
    assert ALLOWED_FAILS <= len(in_the_outage) <= 1.1 * allowed
    assert most_within(1.0, [at for at in calls if at >= up_since]) <= 2 * PER_SECOND


def probes(after_s: float) -> int:
    """Count the probes that an open breaker allows within that time: each cooldown is twice the one before."""
    return sum(1 for _ in takewhile(lambda at: at < after_s, accumulate(COOLDOWN_S * 2**step for step in count())))
