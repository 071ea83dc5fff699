"""A model that is stuck holds back no other."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.e2e.configs import model, write
from tests.e2e.installations import everything_in_one
from tests.e2e.load import all_answered, answered, job, upload
from tests.servers.provider import simulated_provider

CONCURRENCY = 16
BACKLOG = 10 * CONCURRENCY
"""Jobs of each stuck model: more than a worker can hold."""


@pytest.mark.timeout(120)
@pytest.mark.hazard(7)
async def test_a_model_without_a_limit_to_speak_of_and_one_that_hangs_hold_back_no_other(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        hanging, well = [await stack.enter_async_context(simulated_provider()) for _ in range(2)]
        await hanging.faults("hang")
        config = write(
            tmp_path,
            model("closed", well.url, rpm=0),
            model("hanging", hanging.url),
            model("free", well.url),
            concurrency=CONCURRENCY,
        )
        client = (await stack.enter_async_context(everything_in_one(tmp_path, config))).client
        stuck = [
            await upload(client, (job(name, f"Stuck {n}") for n in range(BACKLOG))) for name in ("closed", "hanging")
        ]
        await hanging.wait_for(in_flight=CONCURRENCY // 2)  # places are kept for more urgent work
        free = await upload(client, (job("free", f"Question {number}") for number in range(100)))
        await all_answered(client, free)
        assert [await answered(client, batch) for batch in stuck] == [0, 0]
        assert (await well.total())["served"] == 100
