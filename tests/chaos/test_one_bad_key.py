"""One bad key, or one client's bad requests, trip nobody else."""

from pathlib import Path

import pytest

from tests.e2e.configs import model, write
from tests.e2e.installations import everything_in_one
from tests.e2e.load import all_answered, all_finished, job, upload
from tests.servers.provider import simulated_provider

JOBS = 60
ALLOWED_FAILS = 3
ON_THE_WAY = 16
"""Calls that may have begun before it is known to all that a key is bad: as many as run at once."""


@pytest.mark.hazard(19)
async def test_a_key_that_is_refused_is_left_alone_and_the_other_key_of_the_model_serves_all(tmp_path: Path) -> None:
    async with simulated_provider(api_keys=["sk-right"], latency_s=(0.05, 0.1)) as provider:
        config = write(
            tmp_path,
            model("main", provider.url, api_key="sk-wrong", order=1),
            model("main", provider.url, api_key="sk-right", order=2),
            router={"allowed_fails": ALLOWED_FAILS, "cooldown_time": 60},
            concurrency=ON_THE_WAY,
        )
        async with everything_in_one(tmp_path, config) as running:
            batch = await upload(running.client, (job("main", f"Question {number}") for number in range(JOBS)))
            found = await all_answered(running.client, batch)
    refused = [attempt for each in found for attempt in each["attempts"] if attempt["outcome"] != "succeeded"]
    assert ALLOWED_FAILS <= len(refused) <= ALLOWED_FAILS + 1 + ON_THE_WAY
    assert len({attempt["deployment"] for attempt in refused}) == 1


@pytest.mark.hazard(19)
async def test_requests_that_are_the_clients_own_fault_close_the_model_for_nobody(tmp_path: Path) -> None:
    async with simulated_provider() as provider:
        await provider.faults("status", status=400, contains="Bad")
        config = write(
            tmp_path, model("main", provider.url), router={"allowed_fails": ALLOWED_FAILS, "cooldown_time": 60}
        )
        async with everything_in_one(tmp_path, config) as running:
            bad = await upload(running.client, (job("main", f"Bad {number}") for number in range(5 * ALLOWED_FAILS)))
            assert {each["status"] for each in await all_finished(running.client, bad)} == {"failed"}
            good = await upload(running.client, (job("main", f"Good {number}") for number in range(JOBS)))
            await all_answered(running.client, good)
        assert (await provider.total())["served"] == JOBS
