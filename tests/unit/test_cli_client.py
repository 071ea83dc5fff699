"""The Python client against a server that misbehaves on demand."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest
from aiohttp import web

from forebay.client import MAX_TRIES, ApiError, AsyncClient, Client, JobQuery, Unreachable
from tests.clock import ManualClock
from tests.servers.web import serving

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

JOB = {"id": "job_1", "status": "succeeded"}


def answering(handler: Handler) -> AbstractAsyncContextManager[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    return serving(app)


def refusing(
    status: int, times: int, headers: dict[str, str] | None = None, code: str = "unavailable"
) -> tuple[Handler, list[web.Request]]:
    seen: list[web.Request] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        await request.read()
        seen.append(request)
        if len(seen) <= times:
            error = {"message": "not now", "type": "server_error", "param": "p", "code": code}
            return web.json_response({"error": error}, status=status, headers=headers)
        return web.json_response(JOB)

    return handle, seen


async def test_an_outage_is_waited_for_as_long_as_the_server_asks() -> None:
    handler, seen = refusing(503, 2, {"retry-after": "7"})
    clock = ManualClock()
    async with answering(handler) as url, AsyncClient(url, "fb-k", clock) as client:
        assert await client.get("job_1") == JOB
    assert len(seen) == 3
    assert min(clock.waits) >= 7


async def test_who_may_not_wait_now_asks_for_the_job_again_when_the_server_says() -> None:
    handler, seen = refusing(429, 20, {"retry-after": "10"}, "too_many_waiting")
    clock = ManualClock()
    async with answering(handler) as url, AsyncClient(url, "fb-k", clock) as client:
        assert await client.wait_for_job("job_1") == JOB
    assert len(seen) == 21
    assert clock.waits == [10.0] * 20


async def test_another_refusal_of_a_long_poll_is_reported_at_once() -> None:
    handler, seen = refusing(429, 1, {"retry-after": "10"}, "limit_exceeded")
    async with answering(handler) as url, AsyncClient(url, "fb-k", ManualClock()) as client:
        with pytest.raises(ApiError, match="not now"):
            await client.wait_for_job("job_1")
    assert len(seen) == 1


async def test_an_outage_without_end_is_reported() -> None:
    handler, seen = refusing(503, 1_000)
    async with answering(handler) as url, AsyncClient(url, "fb-k", ManualClock()) as client:
        with pytest.raises(ApiError, match="not now") as caught:
            await client.get("job_1")
    assert len(seen) == MAX_TRIES
    assert (caught.value.status, caught.value.code, caught.value.param) == (503, "unavailable", "p")


async def test_a_submission_without_an_idempotency_key_is_sent_once() -> None:
    handler, seen = refusing(503, 1)
    async with answering(handler) as url, AsyncClient(url, "fb-k", ManualClock()) as client:
        with pytest.raises(ApiError):
            await client.submit({"request": {}})
    assert len(seen) == 1


async def test_a_submission_with_an_idempotency_key_is_sent_again_with_the_same_key() -> None:
    handler, seen = refusing(503, 1)
    async with answering(handler) as url, AsyncClient(url, "fb-k", ManualClock()) as client:
        assert await client.submit({"request": {}}, "k-1") == JOB
    assert [request.headers["idempotency-key"] for request in seen] == ["k-1", "k-1"]


@pytest.mark.parametrize("status", [400, 401, 404, 409, 410, 429, 500])
async def test_other_refusals_are_not_repeated(status: int) -> None:
    handler, seen = refusing(status, 1)
    async with answering(handler) as url, AsyncClient(url, "fb-k", ManualClock()) as client:
        with pytest.raises(ApiError) as caught:
            await client.get("job_1")
    assert caught.value.status == status
    assert len(seen) == 1


async def test_a_server_that_was_never_there_is_not_waited_for(closed_port: int) -> None:
    clock = ManualClock()
    async with AsyncClient(f"http://127.0.0.1:{closed_port}", "fb-k", clock) as client:
        with pytest.raises(Unreachable, match=rf"127\.0\.0\.1:{closed_port}: Connection refused"):
            await client.get("job_1")
    assert clock.waits == []


async def test_a_server_that_went_away_is_waited_for() -> None:
    handler, _ = refusing(503, 0)
    clock = ManualClock()
    async with answering(handler) as url:
        client = await AsyncClient(url, "fb-k", clock).__aenter__()
        await client.get("job_1")
    with pytest.raises(Unreachable):
        await client.get("job_1")
    await client.__aexit__(None, None, None)
    assert len(clock.waits) == MAX_TRIES - 1


async def test_every_page_of_a_listing_is_read_empty_ones_too() -> None:
    pages = {"": (["job_5", "job_4"], "job_4"), "job_4": ([], "job_3"), "job_3": (["job_1"], None)}
    asked: list[dict[str, str]] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append(dict(request.query))
        found, following = pages[request.query.get("after", "")]
        return web.json_response({"data": [{"id": name} for name in found], "next_after": following})

    async with answering(handle) as url, AsyncClient(url, "fb-k") as client:
        found = [job["id"] async for job in client.jobs(JobQuery(status="failed", batch="batch_1"), page=2)]
    assert found == ["job_5", "job_4", "job_1"]
    assert asked[0] == {"status": "failed", "batch": "batch_1", "limit": "2"}


async def test_a_wrong_key_is_refused_before_the_upload() -> None:
    read: list[bytes] = []

    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "unknown key"}}, status=401)

    async def lines() -> AsyncIterator[bytes]:
        read.append(b"line")
        yield b"line\n"

    app = web.Application()
    app.router.add_route("POST", "/v1/jobs/bulk", refuse, expect_handler=_do_not_continue)
    async with serving(app) as url, AsyncClient(url, "fb-k") as client:
        with pytest.raises(ApiError, match="unknown key"):
            await client.submit_bulk(lines())
    assert read == []


async def test_a_bulk_upload_is_streamed() -> None:
    async def count(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        assert request.headers["content-type"] == "application/x-ndjson"
        assert request.headers["authorization"] == "Bearer fb-k"
        return web.json_response({"batch_id": "batch_1", "accepted": body.count(b"\n"), "rejected": []})

    async def lines() -> AsyncIterator[bytes]:
        for _ in range(1_000):
            yield b"{}\n"

    async with answering(count) as url, AsyncClient(url, "fb-k") as client:
        assert (await client.submit_bulk(lines(), "k"))["accepted"] == 1_000


async def test_a_batch_is_followed_until_nothing_changes_any_more() -> None:
    statuses = iter(["validating", "in_progress", "in_progress", "completed"])

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.json_response({"id": "batch_1", "status": next(statuses)})

    async with answering(handle) as url, AsyncClient(url, "fb-k", ManualClock()) as client:
        seen = [batch["status"] async for batch in client.follow_batch("batch_1")]
    assert seen == ["validating", "in_progress", "in_progress", "completed"]


async def test_something_else_at_the_address_is_said_so() -> None:
    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>a router's login page</html>", content_type="text/html")

    async with answering(handle) as url, AsyncClient(url, "fb-k") as client:
        with pytest.raises(ApiError, match="did not answer as Forebay does"):
            await client.get("job_1")


def test_the_client_without_an_event_loop_reports_as_the_other(closed_port: int) -> None:
    with Client(f"http://127.0.0.1:{closed_port}", "fb-k") as client, pytest.raises(Unreachable):
        client.get("job_1")


async def _do_not_continue(_: web.Request) -> None:
    """Answers at once instead of asking for the body."""
