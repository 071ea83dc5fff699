"""Files in, answers out, by the commands alone."""

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.e2e.commands import at, run, started
from tests.e2e.processes import ADMIN_KEY, forebay, write_config
from tests.servers.provider import SimulatedProvider, simulated_provider


@asynccontextmanager
async def everything(folder: Path) -> AsyncIterator[tuple[str, SimulatedProvider]]:
    """Run Forebay on a simulated provider; give its URL."""
    async with simulated_provider() as provider:
        config = write_config(folder, provider.url)
        command = ("up", "--json", "--port", "0", "--config", str(config), "--data-dir", str(folder / "data"))
        async with forebay(*command, settings={"FOREBAY_ADMIN_KEY": ADMIN_KEY}) as running:
            yield running.ready["url"], provider


def request(custom_id: str, **body: object) -> dict[str, Any]:
    question = {"model": "sim", "messages": [{"role": "user", "content": f"What is {custom_id}?"}]} | body
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": question}


def write(file: Path, *lines: dict[str, Any] | str) -> Path:
    file.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return file


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


async def test_every_request_of_a_file_has_its_line_in_the_output_in_the_same_order(tmp_path: Path) -> None:
    requests = [request(f"r-{number}") for number in range(150)]
    source, out = write(tmp_path / "in.jsonl", *requests), tmp_path / "out.jsonl"
    async with everything(tmp_path) as (url, _):
        ended = await run("submit", str(source), "--out", str(out), url=url)
    assert ended.status == 0, ended.stderr
    lines = read(out)
    assert [line["custom_id"] for line in lines] == [line["custom_id"] for line in requests]
    assert all(line["response"]["body"]["choices"] and line["error"] is None for line in lines)
    assert ended.stderr.count("\n") < 40


async def test_bad_lines_are_named_and_the_good_ones_beside_them_are_answered(tmp_path: Path) -> None:
    bad_model = request("r-3", model="sym")
    source = write(tmp_path / "in.jsonl", request("r-1"), "{oops", "", bad_model, request("r-1"), request("r-4"))
    out = tmp_path / "out.jsonl"
    async with everything(tmp_path) as (url, provider):
        ended = await run("submit", str(source), "--out", str(out), "--json", url=url)
        assert (await provider.total())["served"] == 2
    assert ended.status == 1
    found = json.loads(ended.stdout)
    assert [(bad["number"], bad["code"]) for bad in found["rejected"]] == [
        (2, "invalid_json_line"),
        (4, "model_not_found"),
        (5, "duplicate_custom_id"),
    ]
    assert found["batch"]["request_counts"] == {"total": 2, "completed": 2, "failed": 0}
    assert "model_not_found" in ended.stderr
    assert [(line["custom_id"], line["error"] is None) for line in read(out)] == [
        ("r-1", True),
        (None, False),
        ("r-3", False),
        ("r-1", False),
        ("r-4", True),
    ]


async def test_a_file_without_one_good_line_still_has_its_errors_in_the_output(tmp_path: Path) -> None:
    refused_here = write(tmp_path / "here.jsonl", "{oops", "[]")
    refused_there = write(tmp_path / "there.jsonl", request("r-1", model="sym"))
    out = tmp_path / "out.jsonl"
    async with everything(tmp_path) as (url, _):
        for source, codes in ((refused_here, ["invalid_json_line"] * 2), (refused_there, ["model_not_found"])):
            ended = await run("submit", str(source), "--out", str(out), url=url)
            assert (ended.status, ended.stdout) == (1, "")
            assert [line["error"]["code"] for line in read(out)] == codes


async def test_a_file_submitted_again_is_the_same_batch_and_costs_nothing(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", *(request(f"r-{number}") for number in range(20)))
    async with everything(tmp_path) as (url, provider):
        first = await run("submit", str(source), "--watch", "--json", url=url)
        from_stdin = await run("submit", "-", "--watch", "--json", url=url, stdin=source.read_bytes())
        assert (await provider.total())["served"] == 20
        again = await run("submit", str(source), "--again", "--watch", "--json", url=url)
    batches = [json.loads(ended.stdout)["batch"] for ended in (first, from_stdin, again)]
    assert batches[0]["id"] == batches[1]["id"] != batches[2]["id"]
    assert {batch["request_counts"]["total"] for batch in batches} == {20}


async def test_ctrl_c_leaves_the_batch_running_and_watch_rejoins_it(tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.jsonl", request("r-1"), request("r-2")), tmp_path / "out.jsonl"
    async with everything(tmp_path) as (url, provider):
        await provider.faults("hang")
        async with started("submit", str(source), "--watch", settings=at(url)) as command:
            batch_id = (await command.until_it_says("2 accepted")).partition(":")[0]
            await command.until_it_says("answering")
            command.send(signal.SIGINT)
            ended = await command.end()
        assert ended.status == 130
        assert f"forebay watch {batch_id}" in ended.stderr
        await provider.clear_faults()
        await provider.release()
        watched = await run("watch", batch_id, "--out", str(out), url=url)
    assert watched.status == 0, watched.stderr
    assert [line["custom_id"] for line in read(out)] == ["r-1", "r-2"]


async def test_a_cancelled_job_ends_its_batch_with_status_1_and_an_error_line(tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.jsonl", request("r-1"), request("r-2")), tmp_path / "out.jsonl"
    async with everything(tmp_path) as (url, provider):
        await provider.faults("hang", contains="r-2")
        submitted = await run("submit", str(source), "--json", url=url)
        batch_id = json.loads(submitted.stdout)["batch"]["id"]
        await provider.wait_for(in_flight=1, served=1)
        listed = await run("jobs", "--batch", batch_id, "--json", url=url)
        jobs = {job["metadata"]["custom_id"]: job["id"] for job in json.loads(listed.stdout)["data"]}
        cancelled = await run("cancel", jobs["r-2"], url=url)
        assert (cancelled.status, cancelled.stdout) == (0, f"{jobs['r-2']} is cancelled\n")
        watched = await run("watch", batch_id, "--out", str(out), url=url)
        one = await run("watch", jobs["r-1"], "--json", url=url)
    assert watched.status == 1
    assert [line["error"] and line["error"]["code"] for line in read(out)] == [None, "batch_cancelled"]
    assert one.status == 0
    assert json.loads(one.stdout)["status"] == "succeeded"


async def test_what_the_server_refuses_is_one_line_and_status_1(tmp_path: Path) -> None:
    source = write(tmp_path / "empty.jsonl")
    async with everything(tmp_path) as (url, _):
        empty = await run("submit", str(source), url=url)
        missing = await run("watch", "job_01k9b6x0v5e8m3t2r7q4w1y9za", url=url)
        async with started("jobs", settings=at(url) | {"FOREBAY_API_KEY": "fb-wrong"}) as command:
            stranger = await command.end()
    for ended in (empty, missing, stranger):
        assert ended.status == 1
        assert "error:" in ended.stderr.splitlines()[-1]
        assert "Traceback" not in ended.stderr
    assert "FOREBAY_API_KEY" in stranger.stderr
    assert "fb-wrong" not in stranger.stderr
