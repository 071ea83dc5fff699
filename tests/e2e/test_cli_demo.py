"""The demonstration."""

import json
import re
import signal
from pathlib import Path

import aiohttp
import pytest

from forebay.demo.child import running
from shared.domain.errors import ForebayError
from tests.e2e.commands import started


def everything_in(folder: Path) -> list[str]:
    return [file.read_text() for file in folder.iterdir()]


@pytest.mark.timeout(180)
async def test_the_demo_answers_every_request_and_counts_what_the_cache_saved(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    async with started("demo", "--requests", "100", "--out", str(folder), "--json", settings={}) as command:
        ended = await command.end()
    assert ended.status == 0, ended.stderr
    summary = json.loads(ended.stdout)
    assert (summary["requests"], summary["succeeded"], summary["failed"]) == (100, 100, 0)
    assert summary["repeats"] == 20
    assert summary["provider_calls"] == 100 - summary["from_cache"]
    assert summary["cost_usd"] > 0
    outputs = [json.loads(line) for line in (folder / "output.jsonl").read_text().splitlines()]
    inputs = [json.loads(line) for line in (folder / "input.jsonl").read_text().splitlines()]
    assert [line["custom_id"] for line in outputs] == [line["custom_id"] for line in inputs]
    assert ended.stderr.count("\n") < 60


async def test_a_stopped_demo_leaves_nothing_running(tmp_path: Path) -> None:
    async with started("demo", "--requests", "400", "--out", str(tmp_path), settings={}) as command:
        said = [await command.until_it_says("provider answers at"), await command.until_it_says("ready at")]
        await command.until_it_says("accepted")
        command.send(signal.SIGTERM)
        ended = await command.end()
    assert ended.status == 130
    assert not (tmp_path / "output.jsonl").exists()
    for line in said:
        (address,) = re.findall(r"http://127\.0\.0\.1:\d+", line)
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(address)


async def test_with_a_key_for_the_real_thing_the_demo_says_how_to_use_it(tmp_path: Path) -> None:
    settings = {"OPENAI_API_KEY": "sk-canary"}
    async with started("demo", "--requests", "10", "--out", str(tmp_path), settings=settings) as command:
        ended = await command.end()
    assert ended.status == 0, ended.stderr
    assert "os.environ/OPENAI_API_KEY" in ended.stdout
    assert "What came back" in ended.stdout
    written = "".join(everything_in(tmp_path))
    assert "sk-canary" not in ended.stdout + ended.stderr + written


async def test_a_child_that_does_not_start_is_reported_with_its_own_words(tmp_path: Path) -> None:
    command = ("up", "--config", str(tmp_path / "there-is-none.yaml"), "--port", "0", "--data-dir", str(tmp_path))
    with pytest.raises(ForebayError, match=r"there-is-none\.yaml"):
        async with running(command, tmp_path / "up.log", {}):
            pass
