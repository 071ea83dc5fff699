"""Lanes on the screen, by the commands alone."""

import json
import signal
from pathlib import Path

from tests.e2e.commands import at, run, started
from tests.e2e.processes import ADMIN_KEY, forebay, up, write_config
from tests.eventually import eventually
from tests.servers.provider import simulated_provider


async def test_an_administrator_sees_pauses_and_resumes_a_lane(tmp_path: Path) -> None:
    lines = tmp_path / "in.jsonl"
    body = {"model": "sim", "messages": [{"role": "user", "content": "Hi"}]}
    lines.write_text(json.dumps({"custom_id": "r-1", "method": "POST", "url": "/v1/chat/completions", "body": body}))
    async with simulated_provider() as provider:
        config = write_config(tmp_path, provider.url, rpm=6_000)
        async with forebay(*up(config, tmp_path), settings={"FOREBAY_ADMIN_KEY": ADMIN_KEY}) as running:
            url = running.ready["url"]
            paused = await run("lanes", "pause", "sim", url=url)
            assert (paused.status, paused.stdout) == (0, "sim is paused; 0 jobs wait in it\n")

            async def worker_knows() -> bool:  # it looks now and then
                return b"lane switched" in running.said

            await eventually(worker_knows)
            batch = json.loads((await run("submit", str(lines), "--json", url=url)).stdout)["batch"]["id"]
            async with started("lanes", "--watch", "--json", settings=at(url)) as watching:
                assert watching._process.stdout is not None
                while True:
                    [lane] = json.loads(await watching._process.stdout.readline())["data"]
                    if lane["backlog"] == 1:
                        break
                watching.send(signal.SIGINT)
                assert (await watching.end()).status == 130
            assert lane["paused"]
            assert (await provider.total())["served"] == 0

            shown = await run("lanes", url=url)
            assert shown.status == 0
            assert "paused" in shown.stdout

            assert (await run("lanes", "resume", "sim", url=url)).stdout.startswith("sim is running")
            assert (await run("watch", batch, url=url)).status == 0
            assert (await provider.total())["served"] == 1
            unknown = await run("lanes", "pause", "sym", url=url)
    assert unknown.status == 1
    assert "Did you mean `sim`?" in unknown.stderr
