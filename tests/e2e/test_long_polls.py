"""Who waits costs nothing until there is something to tell. ``benchmarks/long_polls.py`` measures it at size."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson

from shared.domain.clock import SystemClock
from tests.e2e.configs import model, write
from tests.e2e.installations import everything_in_one
from tests.e2e.load import job
from tests.e2e.polls import connected
from tests.e2e.processes import ADMIN_KEY
from tests.e2e.processor_time import processor_time_s
from tests.eventually import eventually

POLLS: Final = 250
"""With the streams fewer than one team may have in a process that is allowed 1,024 open files."""

IDLE_S: Final = 2.0


async def test_hundreds_of_long_polls_cost_nothing_while_idle_and_are_answered_at_the_end(tmp_path: Path) -> None:
    clock = SystemClock()
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()  # noqa: TID251 - the API takes the world's time
    async with everything_in_one(tmp_path, write(tmp_path, model("sim", "http://127.0.0.1:9/v1"))) as installation:
        accepted = await installation.client.submit(job("sim", "Later", run_at=later))
        path = f"/v1/jobs/{accepted['id']}"
        streams = await connected(installation.url, ADMIN_KEY, [f"{path}/events"] * 40)
        polls = await connected(installation.url, ADMIN_KEY, [f"{path}?wait=300"] * POLLS)
        pid = installation.processes[0].process.pid
        for poll in (*polls, *streams):
            poll.ask()

        async def costs_nothing() -> bool:  # not at once: first it has all the requests to take in
            return await _spent_s(pid, clock) < 0.1 * IDLE_S

        await eventually(costs_nothing)
        await installation.client.cancel(accepted["id"])
        answers: list[dict[str, Any]] = [
            orjson.loads(body) for body in await asyncio.gather(*(poll.answered for poll in polls))
        ]
        for poll in (*polls, *streams):
            poll.close()
    assert [answer["status"] for answer in answers] == ["cancelled"] * POLLS


async def _spent_s(pid: int, clock: SystemClock) -> float:
    """Give the processor time of a process while nothing happens."""
    before = processor_time_s(pid)
    await clock.sleep(IDLE_S)
    return processor_time_s(pid) - before
