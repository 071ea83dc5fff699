"""An API process with few open files stays within reach, however many clients of one team come to wait on it."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import orjson

from forebay.client import AsyncClient
from shared.domain.seats import Seats
from tests.e2e.configs import model, write
from tests.e2e.installations import Installation
from tests.e2e.load import job
from tests.e2e.polls import Poll, connected
from tests.e2e.processes import ADMIN_KEY, forebay, up
from tests.eventually import eventually

OPEN_FILES: Final = 400
POLLS: Final = 450
OF_ONE_TEAM: Final = Seats.of(OPEN_FILES).total // 2


async def test_more_long_polls_of_a_team_than_there_are_open_files_shut_nobody_out(tmp_path: Path) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()  # noqa: TID251 - the API takes the world's time
    config = write(tmp_path, model("sim", "http://127.0.0.1:9/v1"))
    settings = {"FOREBAY_ADMIN_KEY": ADMIN_KEY}
    async with (
        forebay(*up(config, tmp_path), settings=settings, open_files=OPEN_FILES) as process,
        AsyncClient(process.ready["url"], ADMIN_KEY) as client,
    ):
        installation = Installation(process.ready["url"], client, (process,))
        accepted = await client.submit(job("sim", "Later", run_at=later))
        path = f"/v1/jobs/{accepted['id']}?wait=300"
        polls = await connected(installation.url, ADMIN_KEY, [path] * POLLS, ask=True)

        async def all_others_are_refused() -> bool:
            return sum(poll.answered.done() for poll in polls) == POLLS - OF_ONE_TEAM

        await eventually(all_others_are_refused, within_s=120.0)
        async with installation.team("blue") as blue:
            of_another = await blue.submit(job("sim", "Of another", run_at=later))
            assert (await blue.get(of_another["id"], 0.05))["status"] == "scheduled"
        await client.cancel(accepted["id"])
        assert sorted([await _told(poll) for poll in polls]) == (
            ["cancelled"] * OF_ONE_TEAM + ["too_many_waiting"] * (POLLS - OF_ONE_TEAM)
        )
        for poll in polls:
            poll.close()


async def _told(poll: Poll) -> str:
    async with asyncio.timeout(60.0):
        answer = orjson.loads(await poll.answered)
    told: str = answer["status"] if "status" in answer else answer["error"]["code"]
    return told
