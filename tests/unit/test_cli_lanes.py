"""How ``forebay lanes`` shows lanes, and what it asks of the server."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest
from aiohttp import web
from typer.testing import CliRunner, Result

from forebay.cli.app import app
from forebay.client import AsyncClient, Client
from tests.clock import ManualClock
from tests.servers.web import serving


def deployment(name: str, **changes: object) -> dict[str, Any]:
    limits = {"rpm": 600, "tpm": None, "max_parallel_requests": None}
    shown: dict[str, Any] = {"id": name, "model": "openai/m", "region": None, "limits": limits, "in_flight": 3}
    return shown | {"utilisation": 0.5, "share": 1.0, "closed_until": None, "breaker": "closed"} | changes


def lane(name: str, *deployments: dict[str, Any], **changes: object) -> dict[str, Any]:
    depth = {
        "interactive": {"ready": 1, "unacknowledged": 1},
        "bulk": {"ready": 1000, "unacknowledged": 0},
        "bulk.surplus": {"ready": 234, "unacknowledged": 0},
        "deferrable.1h": {"ready": 40, "unacknowledged": 0},
        "deferrable.7d": {"ready": 2, "unacknowledged": 0},
    }
    shown: dict[str, Any] = {"object": "lane", "lane": name, "paused": False, "depth": depth, "backlog": 1278}
    rate = {"requests": 10.0, "tokens": None, "jobs": 10.0}
    return shown | {"rate_per_second": rate, "deployments": list(deployments or [deployment("d1")])} | changes


LANES = [
    lane("gpt-4o"),
    lane(
        "azure/mini",
        deployment("eu", breaker="open", closed_until="2026-11-25T10:20:30.000Z", utilisation=1.25),
        deployment("us", utilisation=0.0),
        paused=True,
    ),
    lane("free", deployment("d2", utilisation=None), rate_per_second={"requests": None, "tokens": None, "jobs": None}),
]


class Server:
    """A server on a thread of its own, because the commands run an event loop themselves."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        if request.method == "POST":
            name = request.path.removeprefix("/v1/lanes/").rpartition("/")[0]
            backlog = {"backlog": 1} if name == "quiet" else {}
            return web.json_response(lane(name, paused=request.path.endswith("/pause"), **backlog))
        return web.json_response({"object": "list", "data": LANES})


@contextmanager
def answering(kind: type[Server] | None = None) -> Iterator[Server]:
    server, loop, ready = (kind or Server)(), asyncio.new_event_loop(), asyncio.Event()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.handle)

    async def serve(stop: asyncio.Event) -> None:
        async with serving(application) as server.url:
            ready.set()
            await stop.wait()

    stop = asyncio.Event()
    thread = Thread(target=lambda: loop.run_until_complete(serve(stop)))
    thread.start()
    asyncio.run_coroutine_threadsafe(ready.wait(), loop).result(10)
    yield server
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


@pytest.fixture
def server() -> Iterator[Server]:
    with answering() as server:
        yield server


def run(server: Server, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["lanes", *arguments], env={"FOREBAY_URL": server.url, "FOREBAY_API_KEY": "fb-k"})


def row(output: str, name: str) -> list[str]:
    """Give the words of the row that begins with a name."""
    [line] = [line for line in output.splitlines() if line.strip().startswith(name)]
    return line.split()


def test_each_lane_has_a_row_with_what_waits_and_how_much_of_its_limit_is_in_use(server: Server) -> None:
    shown = run(server)
    assert shown.exit_code == 0
    assert row(shown.stdout, "gpt-4o") == ["gpt-4o", "2", "0", "1,234", "42", "3", "10", "█████░░░░░", "50%", "closed"]


def test_a_lane_of_several_deployments_shows_each_and_the_worst_breaker(server: Server) -> None:
    output = run(server).stdout
    assert row(output, "azure/mini")[-2:] == ["open", "paused"]
    assert row(output, "eu") == ["eu", "3", "██████████", "125%", "open", "until", "10:20:30", "UTC"]
    assert row(output, "us") == ["us", "3", "░░░░░░░░░░", "0%", "closed"]


def test_what_is_not_known_is_shown_as_such(server: Server) -> None:
    assert row(run(server).stdout, "free") == ["free", "2", "0", "1,234", "42", "3", "?", "?", "closed"]


def test_programs_get_the_lanes_as_json(server: Server) -> None:
    assert json.loads(run(server, "--json").stdout) == {"object": "list", "data": LANES}


@pytest.mark.parametrize(("action", "said"), [("pause", "paused"), ("resume", "running")])
def test_a_lane_is_paused_and_resumed_by_its_name(server: Server, action: str, said: str) -> None:
    done = run(server, action, "azure/gpt-4o mini")
    assert (done.exit_code, done.stdout) == (0, f"azure/gpt-4o mini is {said}; 1,278 jobs wait in it\n")
    assert server.asked == [f"POST /v1/lanes/azure/gpt-4o mini/{action}"]
    assert run(server, action, "quiet").stdout == f"quiet is {said}; 1 job waits in it\n"
    assert json.loads(run(server, action, "azure/gpt-4o", "--json").stdout)["paused"] is (action == "pause")


def test_the_client_without_an_event_loop_knows_the_lanes_too(server: Server) -> None:
    with Client(server.url, "fb-k") as client:
        assert client.lanes() == LANES
        assert client.pause_lane("a/b")["paused"]
        assert not client.resume_lane("a/b")["paused"]


async def test_pausing_again_after_an_outage_is_safe() -> None:
    tries: list[str] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        tries.append(request.path)
        if len(tries) == 1:
            return web.json_response({"error": {"message": "not now"}}, status=503)
        return web.json_response(lane("a"))

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    async with serving(application) as url, AsyncClient(url, "fb-k", ManualClock()) as client:
        await client.pause_lane("a")
    assert tries == ["/v1/lanes/a/pause"] * 2
