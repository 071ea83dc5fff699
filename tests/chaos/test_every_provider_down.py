"""When nobody answers, retries are bounded, and the work waits."""

from pathlib import Path

import pytest

from tests.e2e.configs import model, write
from tests.e2e.installations import everything_in_one
from tests.e2e.load import all_finished, job, steadily, upload
from tests.servers.provider import simulated_provider

PER_SECOND = 10
ALLOWED_FAILS = 3
COOLDOWN_S = 1.0


@pytest.mark.hazard(17)
async def test_when_every_provider_fails_retries_do_not_multiply(tmp_path: Path) -> None:
    jobs, attempts = 20, 4
    async with simulated_provider() as primary, simulated_provider() as spare, simulated_provider() as well:
        for provider in (primary, spare):
            await provider.faults("status", status=503)
        router = {"fallbacks": [{"main": ["spare"]}], "num_retries": attempts - 1, "cooldown_time": COOLDOWN_S}
        config = write(
            tmp_path, model("main", primary.url), model("spare", spare.url), model("other", well.url), router=router
        )
        async with everything_in_one(tmp_path, config) as running:
            batch = await upload(running.client, (job("main", f"Question {number}") for number in range(jobs)))
            await primary.wait_for(failed=ALLOWED_FAILS)
            meanwhile = (job("other", f"Question {number}") for number in range(round(5 * COOLDOWN_S * PER_SECOND)))
            others = await steadily(running.client, meanwhile, PER_SECOND)
            failed = (await primary.total())["failed"], (await spare.total())["failed"]
            for provider in (primary, spare):
                await provider.clear_faults()
            await all_finished(running.client, batch)
    assert {found["status"] for found in others} == {"succeeded"}
    assert sum(failed) <= 1.1 * jobs * attempts
    assert max(failed) <= jobs * attempts
