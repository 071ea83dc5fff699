"""A job that failed is found among the dead letters and has a second life, by the commands alone."""

import json
from pathlib import Path
from typing import Any

from tests.e2e.commands import run
from tests.e2e.processes import ADMIN_KEY, forebay, up, write_config
from tests.eventually import eventually
from tests.servers.provider import simulated_provider


async def test_an_administrator_replays_a_batch_that_failed(tmp_path: Path) -> None:
    lines = tmp_path / "in.jsonl"
    body = {"model": "sim", "messages": [{"role": "user", "content": "canary-question"}]}
    lines.write_text(json.dumps({"custom_id": "r-1", "method": "POST", "url": "/v1/chat/completions", "body": body}))
    async with simulated_provider() as provider:
        await provider.faults("content_filter")
        config = write_config(tmp_path, provider.url, rpm=6_000)
        async with forebay(*up(config, tmp_path), settings={"FOREBAY_ADMIN_KEY": ADMIN_KEY}) as running:
            url = running.ready["url"]
            batch = json.loads((await run("submit", str(lines), "--json", url=url)).stdout)["batch"]["id"]
            assert (await run("watch", batch, url=url)).status == 1

            async def letters() -> list[dict[str, Any]]:  # it is buried after the job's end is stored
                listed = await run("dlq", "list", "--json", url=url)
                assert "canary-question" not in listed.stdout
                found: list[dict[str, Any]] = json.loads(listed.stdout)["data"]
                return found

            [letter] = await eventually(letters)
            assert (letter["reason"], letter["job_status"], letter["model"]) == ("content_filter", "failed", "sim")
            assert "canary-question" in (await run("dlq", "show", letter["id"], "--request", url=url)).stdout

            await provider.clear_faults()
            assert (await run("dlq", "replay", "--model", "sim", url=url)).stdout == "1 replayed, 0 kept\n"
            assert (await run("watch", batch, url=url)).status == 0
            again = await run("dlq", "list", url=url)
            assert (again.status, again.stdout) == (0, "")
