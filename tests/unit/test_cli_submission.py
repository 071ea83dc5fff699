"""A file on its way to a server that breaks down."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from forebay.cli.batch_lines import JobOptions
from forebay.cli.submission import TRIES, submit_file
from forebay.client import ApiError, AsyncClient, Unreachable
from tests.clock import ManualClock
from tests.servers.web import serving

LINES = 2_000


class SilentMeter:
    def show(self, done: int, total: int, note: str = "") -> None:
        self.last = (done, total, note)


class Breaking:
    """Takes uploads; the first ``breaks`` of them end early, by a cut connection or a 503. A repeat may take less."""

    def __init__(self, breaks: int, how: str) -> None:
        self.breaks = breaks
        self.how = how
        self.keys: list[str] = []
        self.custom_ids: list[str] = []

    async def batch(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"id": "batch_1", "status": "in_progress"})

    async def bulk(self, request: web.Request) -> web.StreamResponse:
        self.keys.append(request.headers["idempotency-key"])
        if len(self.keys) <= self.breaks:
            await request.content.readline()
            if self.how == "cut":
                assert request.transport is not None
                request.transport.abort()
            error = {"message": "the broker is away", "code": "unavailable"}
            return web.json_response({"error": error}, status=503, headers={"retry-after": "9"})
        while line := await request.content.readline():
            self.custom_ids.append(orjson.loads(line)["metadata"]["custom_id"])
        return web.json_response({"batch_id": "batch_1", "accepted": len(self.custom_ids), "rejected": []})


def answering(server: Breaking) -> AbstractAsyncContextManager[str]:
    app = web.Application(client_max_size=2**30)
    app.add_routes([web.post("/v1/jobs/bulk", server.bulk), web.get("/v1/batches/{id}", server.batch)])
    return serving(app)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    lines = [_request(f"r-{number}") for number in range(LINES)]
    path.write_bytes(b"\n".join(orjson.dumps(line) for line in lines))
    return path


@pytest.mark.parametrize("how", ["cut", "503"])
async def test_a_broken_upload_goes_on_with_the_same_key(file: Path, how: str) -> None:
    server, clock = Breaking(2, how), ManualClock()
    async with answering(server) as url, AsyncClient(url, "fb-k", clock) as client:
        await client.batch("batch_1")
        submission = await submit_file(client, file, JobOptions(), "k-1", SilentMeter(), clock)
    assert (submission.batch_id, submission.accepted, submission.bad) == ("batch_1", LINES, ())
    assert server.keys == ["k-1"] * 3
    assert server.custom_ids == [f"r-{number}" for number in range(LINES)]
    assert len(clock.waits) == 2


@pytest.mark.parametrize(("how", "raised"), [("cut", Unreachable), ("503", ApiError)])
async def test_an_upload_that_breaks_every_time_is_given_up(
    file: Path, how: str, raised: type[ApiError | Unreachable]
) -> None:
    server, clock = Breaking(1_000, how), ManualClock()
    async with answering(server) as url, AsyncClient(url, "fb-k", clock) as client:
        await client.batch("batch_1")
        with pytest.raises(raised):
            await submit_file(client, file, JobOptions(), "k-1", SilentMeter(), clock)
    assert len(server.keys) == TRIES


async def test_without_a_server_nothing_is_tried_again(file: Path, closed_port: int) -> None:
    clock = ManualClock()
    async with AsyncClient(f"http://127.0.0.1:{closed_port}", "fb-k", clock) as client:
        with pytest.raises(Unreachable):
            await submit_file(client, file, JobOptions(), "k-1", SilentMeter(), clock)
    assert clock.waits == []


def _request(custom_id: str) -> dict[str, Any]:
    body = {"model": "m", "messages": [{"role": "user", "content": "x" * 200}]}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
