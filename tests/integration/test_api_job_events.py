"""A job's changes as server-sent events: all of them, each once, and the end last."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import aiohttp
import orjson
import pytest

from producer_api.endpoints import job_events
from producer_api.schemas import JobObject
from producer_api.server import SHUTDOWN_GRACE_S
from shared.adapters.redis.job_watch import RedisJobWatch
from shared.domain.errors import StoreUnavailable
from shared.domain.job import Attempt
from shared.domain.job_watch import WatchedJob
from tests.eventually import eventually
from tests.integration.api_rig import ANSWER, KEY, OTHER_KEY, Api, running_api

FAILED = Attempt("gpt-4o-mini-1", 1_700_000_001.0, 1_700_000_002.0, "overloaded")


@dataclass(frozen=True)
class Event:
    """One event, read."""

    id: str
    name: str
    data: dict[str, Any]


class Stream:
    """A stream under way, read line by line."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.comments = 0
        self.retry: str | None = None

    async def next(self) -> Event | None:
        """Give the next event; None: the stream has ended."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(20):
            async for line in self.response.content:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "retry":
                    self.retry = value
                elif line.startswith(b":"):
                    self.comments += 1
                elif name:
                    fields[name] = value
                elif "data" in fields:
                    return Event(fields["id"], fields["event"], orjson.loads(fields["data"]))
        assert fields == {}
        return None

    async def rest(self) -> list[Event]:
        found = []
        while (event := await self.next()) is not None:
            found.append(event)
        return found


@asynccontextmanager
async def following(api: Api, job_id: str, headers: Mapping[str, str] = MappingProxyType({})) -> AsyncIterator[Stream]:
    sent = {"authorization": f"Bearer {KEY}", **headers}
    timeout = aiohttp.ClientTimeout(sock_read=20)
    async with api.session.get(f"{api.url}/v1/jobs/{job_id}/events", headers=sent, timeout=timeout) as response:
        assert response.status == 200, await response.text()
        yield Stream(response)


@pytest.fixture
async def api(valkey_url: str) -> AsyncIterator[Api]:
    async with running_api(valkey_url) as api:
        yield api


async def submitted(api: Api) -> str:
    job_id: str = (await api.submit()).json["id"]
    return job_id


async def started(api: Api, job_id: str, worker: str = "worker-1") -> int:
    return (await api.store.claim((await api.job(job_id)).spec, worker)).fence


async def test_every_change_comes_as_it_happens_and_the_end_is_last(api: Api) -> None:
    job_id = await submitted(api)
    async with following(api, job_id) as stream:
        first = await stream.next()
        assert first is not None
        assert (first.name, first.data["status"], first.data["id"]) == ("queued", "queued", job_id)
        fence = await started(api, job_id)
        second = await stream.next()
        assert second is not None
        assert (second.name, second.data["attempts"]) == ("running", [])
        await api.store.release((await api.job(job_id)).spec, fence, (FAILED,))
        third = await stream.next()
        assert third is not None
        assert (third.name, len(third.data["attempts"])) == ("queued", 1)
        await api.finish(job_id)
        rest = await stream.rest()
    assert [event.name for event in rest][-1] == "succeeded"
    assert rest[-1].data == (await api.get(f"/v1/jobs/{job_id}")).json
    assert rest[-1].data["response"] == ANSWER
    events = [first, second, third, *rest]
    assert [event.data["response"] for event in events[:-1]] == [None] * (len(events) - 1)
    ids = [int(event.id) for event in events]
    assert ids == sorted(set(ids))
    for event in events:
        JobObject.model_validate(event.data)


async def test_the_stream_says_how_it_is_to_be_treated(api: Api) -> None:
    job_id = await submitted(api)
    async with following(api, job_id) as stream:
        await stream.next()
        headers = stream.response.headers
        assert headers["content-type"].startswith("text/event-stream")
        assert headers["cache-control"] == "no-store"
        assert headers["x-accel-buffering"] == "no"
        assert stream.retry == "2000"


async def test_who_comes_again_misses_nothing_and_hears_nothing_twice(api: Api) -> None:
    job_id = await submitted(api)
    await api.store.release((await api.job(job_id)).spec, await started(api, job_id), (FAILED,))
    await api.finish(job_id)
    async with following(api, job_id) as stream:
        everything = await stream.rest()
    assert [event.name for event in everything] == ["queued", "running", "queued", "running", "succeeded"]
    for count, last in enumerate(everything[:-1], 1):
        async with following(api, job_id, {"last-event-id": last.id}) as stream:
            assert await stream.rest() == everything[count:]


async def test_who_has_seen_the_end_is_told_not_to_come_again(api: Api) -> None:
    job_id = await submitted(api)
    await api.finish(job_id)
    async with following(api, job_id) as stream:
        end = (await stream.rest())[-1]
    again = await api.call("GET", f"/v1/jobs/{job_id}/events", headers={"last-event-id": end.id})
    assert (again.status, again.body) == (204, b"")


async def test_many_clients_that_are_cut_off_again_and_again_each_hear_everything_once(api: Api) -> None:
    job_id = await submitted(api)

    async def follow() -> list[Event]:
        heard: list[Event] = []
        while not heard or heard[-1].name != "succeeded":
            headers = {"last-event-id": heard[-1].id} if heard else {}
            async with following(api, job_id, headers) as stream:
                event = await stream.next()  # and the connection is closed behind each
                if event is not None:
                    heard.append(event)
        return heard

    async with asyncio.TaskGroup() as clients:
        tasks = [clients.create_task(follow()) for _ in range(10)]
        for _ in range(5):
            fence = await started(api, job_id)
            await api.store.release((await api.job(job_id)).spec, fence, (FAILED,))
        await api.finish(job_id)
    expected = ["queued", *["running", "queued"] * 5, "running", "succeeded"]
    for task in tasks:
        assert [event.name for event in task.result()] == expected


async def test_a_silent_stream_shows_that_it_lives(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_events, "HEARTBEAT_S", 0.02)
    job_id = await submitted(api)
    async with following(api, job_id) as stream:
        await stream.next()
        reading = asyncio.create_task(stream.next())

        async def alive() -> bool:
            return stream.comments >= 3

        await eventually(alive)
        await api.call("POST", f"/v1/jobs/{job_id}/cancel")
        cancelled = await reading
        assert cancelled is not None
        assert (cancelled.name, await stream.next()) == ("cancelled", None)


async def test_a_client_that_is_gone_leaves_nothing_behind(api: Api) -> None:
    job_id = await submitted(api)
    async with following(api, job_id) as one, following(api, job_id) as other:
        await one.next()
        await other.next()
    watch = api.parts.watch
    assert isinstance(watch, RedisJobWatch)

    async def nothing_left() -> bool:
        return watch._bells == {}

    await eventually(nothing_left)


async def test_a_stream_asks_the_store_only_when_something_changed(api: Api) -> None:
    job_id = await submitted(api)
    async with following(api, job_id) as stream:
        await stream.next()
        before = (await api.redis.info("commandstats"))["cmdstat_hmget"]["calls"]
        await asyncio.wait([asyncio.create_task(stream.next())], timeout=0.3)
        after = (await api.redis.info("commandstats"))["cmdstat_hmget"]["calls"]
        assert after - before <= 1  # the one look when the subscription was made
        await api.finish(job_id)


async def test_a_stream_outlives_an_absent_store(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_events, "LOOK_AGAIN_S", 0.02)
    job_id = await submitted(api)
    refused = 0

    async def away(self: RedisJobWatch, team: str, looked_for: str) -> WatchedJob | None:
        nonlocal refused
        refused += 1
        raise StoreUnavailable

    async with following(api, job_id) as stream:
        await stream.next()
        with monkeypatch.context() as absent:
            absent.setattr(RedisJobWatch, "look", away)
            await started(api, job_id)

            async def asked() -> bool:
                return refused >= 3

            await eventually(asked)
        event = await stream.next()
        assert event is not None
        assert event.name == "running"


async def test_a_stopping_server_ends_its_streams_at_once(valkey_url: str) -> None:
    loop = asyncio.get_running_loop()
    async with running_api(valkey_url) as api:
        job_id = await submitted(api)
        sent = {"authorization": f"Bearer {KEY}"}
        session = aiohttp.ClientSession()
        response = await session.get(f"{api.url}/v1/jobs/{job_id}/events", headers=sent)
        stream = Stream(response)
        await stream.next()
        began = loop.time()
    assert await stream.next() is None
    assert loop.time() - began < SHUTDOWN_GRACE_S  # then they would have been cut off
    await session.close()


async def test_a_stopping_server_answers_its_long_polls_at_once_with_the_jobs_as_they_are(valkey_url: str) -> None:
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession(headers={"authorization": f"Bearer {KEY}"}) as session:
        async with running_api(valkey_url) as api:
            job_id = await submitted(api)
            before = api.store.readings
            poll = asyncio.create_task(session.get(f"{api.url}/v1/jobs/{job_id}?wait=60"))

            async def waits() -> bool:
                return api.store.readings > before

            await eventually(waits)
            began = loop.time()
        answer = await poll
        assert loop.time() - began < SHUTDOWN_GRACE_S  # then they would have been cut off
        assert (answer.status, (await answer.json())["status"]) == (200, "queued")


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "1" * 19, "1, 2"])
async def test_a_last_event_that_is_none_is_refused(api: Api, last: str) -> None:
    answer = await api.call("GET", f"/v1/jobs/{await submitted(api)}/events", headers={"last-event-id": last})
    assert (answer.status, answer.error["param"]) == (400, "Last-Event-ID")
    assert "; found '" in answer.error["message"]


async def test_a_job_of_another_team_and_one_that_is_none_have_no_events(api: Api) -> None:
    job_id = await submitted(api)
    for path, key, status in (
        (f"/v1/jobs/{job_id}/events", OTHER_KEY, 404),
        ("/v1/jobs/job_7zzzzzzzzzzzzzzzzzzzzzzzzz/events", KEY, 404),
        ("/v1/jobs/job_00000000000000000000000000/events", KEY, 410),
        ("/v1/jobs/none/events", KEY, 404),
        (f"/v1/jobs/{job_id}/events", None, 401),
    ):
        answer = await api.call("GET", path, key)
        assert (answer.status, bool(answer.error)) == (status, True)
