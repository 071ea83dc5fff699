"""How ``forebay schedule`` shows what runs when."""

import json
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from aiohttp import web
from typer.testing import CliRunner, Result

from forebay.cli.app import app
from tests.unit.test_cli_lanes import Server, answering, row


def run_of(second: int, **changes: object) -> dict[str, Any]:
    moment = f"2026-11-25T10:20:{second:02}"
    run: dict[str, Any] = {"due_at": f"{moment}.000Z", "began_at": f"{moment}.010Z", "ended_at": f"{moment}.260Z"}
    return run | {"by": "host-7-ab", "term": 4, "did": 0, "did_of": {}, "error": None} | changes


SCHEDULE: dict[str, Any] = {
    "object": "schedule",
    "leader": {
        "name": "host-7-ab",
        "term": 4,
        "is_leading": True,
        "since": "2026-11-25T09:00:00.000Z",
        "until": "2026-11-25T10:20:40.000Z",
    },
    "duties": [
        {
            "name": "expire jobs",
            "times": "every 5s",
            "next_run_at": "2026-11-25T10:20:35.000Z",
            "last_runs": [run_of(30, ended_at=None, did=None), run_of(25, did=1234, did_of={"gpt-4o": 1234})],
        },
        {
            "name": "publish notices",
            "times": "every 10s",
            "next_run_at": None,
            "last_runs": [run_of(20, error="The broker is away."), run_of(10)],
        },
        {"name": "forget jobs", "times": "every 1m", "next_run_at": None, "last_runs": []},
    ],
}


class Scheduled(Server):
    """Answers with one schedule."""

    answer: ClassVar[dict[str, Any]] = SCHEDULE

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        return web.json_response(self.answer)


class NeverScheduled(Scheduled):
    """A server beside which no scheduler ever ran."""

    answer: ClassVar[dict[str, Any]] = {"object": "schedule", "leader": None, "duties": []}


@pytest.fixture
def server() -> Iterator[Server]:
    with answering(Scheduled) as server:
        yield server


def shown(server: Server, *arguments: str) -> Result:
    environment = {"FOREBAY_URL": server.url, "FOREBAY_API_KEY": "fb-k"}
    return CliRunner().invoke(app, ["schedule", *arguments], env=environment)


def test_it_says_who_leads_and_of_each_duty_when_it_runs_and_what_it_did_last(server: Server) -> None:
    output = shown(server).stdout
    assert "host-7-ab leads since 2026-11-25 09:00:00, in term 4" in output
    last = "2026-11-25 10:20:35 2026-11-25 10:20:25 0.25 s 1,234 (gpt-4o: 1,234)"
    assert " ".join(row(output, "expire jobs")) == f"expire jobs every 5s {last}"
    assert " ".join(row(output, "forget jobs")) == "forget jobs every 1m"
    assert server.asked == ["GET /v1/schedule"]


def test_a_duty_that_failed_says_how_often_and_why(server: Server) -> None:
    assert " ".join(row(shown(server).stdout, "publish notices")).endswith("1 of 2: The broker is away.")


def test_programs_get_the_schedule_as_json(server: Server) -> None:
    assert json.loads(shown(server, "--json").stdout) == SCHEDULE


def test_without_a_scheduler_it_says_how_to_start_one() -> None:
    with answering(NeverScheduled) as server:
        result = shown(server)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "forebay scheduler" in result.stderr
