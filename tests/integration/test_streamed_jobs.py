"""Jobs whose answers are passed on while they are made: the worker's side."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import orjson
import pytest

from shared.adapters.redis.answer_streams import RedisAnswerStreams
from shared.adapters.redis.connection import connect
from shared.adapters.redis.stream_patience import StreamPatience
from shared.domain.answer_streams import AnswerReader
from shared.domain.clock import SystemClock
from shared.domain.ids import new_id
from shared.domain.job import JobSpec, JobStatus
from shared.domain.provider_errors import StreamBroken
from shared.domain.retry import RetryPolicy
from shared.domain.usage import Usage
from tests.integration.worker_rig import TEAM, Rig, worker_rig

NO_BACKOFF = RetryPolicy(max_attempts=3, base_s=0)
QUICK = StreamPatience(look_s=0.5)
LONG = {"max_tokens": 200}
_GENEROUSLY_S = 20.0


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    async with worker_rig(valkey_url, NO_BACKOFF, deployments=2) as rig:
        yield rig


@pytest.fixture
async def api(valkey_url: str, rig: Rig) -> AsyncIterator[RedisAnswerStreams]:
    """The reading process."""
    client = connect(valkey_url)
    streams = RedisAnswerStreams(client, SystemClock(), rig.events.append, QUICK)
    yield streams
    await streams.close()
    await client.aclose()


@asynccontextmanager
async def asking(
    rig: Rig, api: RedisAnswerStreams, text: str, **request: object
) -> AsyncIterator[tuple[JobSpec, AnswerReader]]:
    """Submit a job as the API does for a client that wants a stream."""
    job_id = new_id("job", rig.clock.now())
    async with api.reader(job_id) as reader:
        yield await rig.submit_with(request, text, id=job_id, streams=True), reader


async def run(rig: Rig, worker: str = "worker-1") -> None:
    await rig.executor(worker).execute(await rig.take(), rig.lane)


async def read(reader: AnswerReader) -> list[dict[str, Any]]:
    async with asyncio.timeout(_GENEROUSLY_S):
        return [orjson.loads(piece) async for piece in reader]


async def broken(reader: AnswerReader) -> list[dict[str, Any]]:
    """Read until it breaks; give what came."""
    chunks: list[dict[str, Any]] = []

    async def follow() -> None:
        async for piece in reader:
            chunks.append(orjson.loads(piece))  # noqa: PERF401 - the exception would take a comprehension's list along

    with pytest.raises(StreamBroken):
        async with asyncio.timeout(_GENEROUSLY_S):
            await follow()
    return chunks


def text_of(chunks: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


async def content(rig: Rig, spec: JobSpec) -> str:
    outcome = (await rig.job(spec)).outcome
    assert outcome is not None
    assert outcome.response is not None
    text: str = outcome.response["choices"][0]["message"]["content"]
    return text


async def test_the_pieces_are_the_answer_that_is_stored_and_priced(rig: Rig, api: RedisAnswerStreams) -> None:
    async with asking(rig, api, "What is a forebay?") as (spec, reader):
        await run(rig)
        chunks = await read(reader)
        job = await rig.job(spec)
    assert job.status is JobStatus.SUCCEEDED
    assert job.outcome is not None
    assert job.outcome.usage is not None
    assert job.outcome.cost_usd is not None
    assert text_of(chunks) == await content(rig, spec)
    assert len(chunks) > 2
    assert all(chunk["choices"] for chunk in chunks)  # nobody asked for the usage


async def test_the_usage_is_passed_on_to_who_asked_for_it(rig: Rig, api: RedisAnswerStreams) -> None:
    async with asking(rig, api, "Count.", stream_options={"include_usage": True}) as (_, reader):
        await run(rig)
        chunks = await read(reader)
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] > 0


async def test_a_piece_is_read_before_the_answer_is_whole(rig: Rig, api: RedisAnswerStreams) -> None:
    await rig.provider.faults("latency", seconds=30.0)
    async with asking(rig, api, "Slowly", **LONG) as (spec, reader):
        running = asyncio.create_task(run(rig))
        async with asyncio.timeout(_GENEROUSLY_S):
            await anext(aiter(reader))
        assert (await rig.job(spec)).status is JobStatus.RUNNING
        running.cancel()
        await asyncio.wait([running])
    assert (await rig.provider.wait_until_idle())["aborted"] == 1


async def test_an_answer_from_the_cache_has_no_pieces_and_ends(rig: Rig, api: RedisAnswerStreams) -> None:
    async with asking(rig, api, "Again") as (first, reader):
        await run(rig)
        assert await read(reader)
    async with asking(rig, api, "Again", stream_options={"include_usage": True}) as (second, reader):
        await run(rig)
        assert await read(reader) == []
    assert await content(rig, second) == await content(rig, first)
    assert (await rig.provider.calls_of("Again"))["begun"] == 1


async def test_a_failure_before_the_first_piece_falls_back_without_a_trace(rig: Rig, api: RedisAnswerStreams) -> None:
    await rig.provider.faults("cut_stream", at_byte=10, count=1)
    async with asking(rig, api, "Twice") as (spec, reader):
        await run(rig)
        chunks = await read(reader)
    assert text_of(chunks) == await content(rig, spec)
    assert [attempt.outcome for attempt in (await rig.job(spec)).attempts] == ["connection_failed", "succeeded"]


async def test_a_job_that_comes_back_before_its_first_piece_is_streamed_then(rig: Rig, api: RedisAnswerStreams) -> None:
    await rig.provider.faults("status", status=503, count=2)
    async with asking(rig, api, "Later") as (spec, reader):
        await run(rig)
        assert (await rig.job(spec)).status is JobStatus.QUEUED
        await run(rig)
        assert text_of(await read(reader)) == await content(rig, spec)


async def test_a_job_that_fails_before_its_first_piece_ends_its_stream(rig: Rig, api: RedisAnswerStreams) -> None:
    await rig.provider.faults("status", status=400)
    async with asking(rig, api, "Invalid") as (spec, reader):
        await run(rig)
        assert await read(reader) == []
    assert (await rig.job(spec)).status is JobStatus.FAILED


@pytest.mark.hazard(20)
@pytest.mark.parametrize("at_byte", [400, 1_000, 2_500])
async def test_a_stream_cut_midway_is_not_begun_again_and_what_came_is_paid_for(
    rig: Rig, api: RedisAnswerStreams, at_byte: int
) -> None:
    await rig.provider.faults("cut_stream", at_byte=at_byte)
    async with asking(rig, api, "Cut off", **LONG) as (spec, reader):
        await run(rig)
        chunks = await read(reader)
        job = await rig.job(spec)
    assert job.status is JobStatus.FAILED
    assert job.outcome is not None
    assert job.outcome.error is not None
    assert job.outcome.error.code == "stream_broken"
    assert (await rig.provider.calls_of("Cut off"))["begun"] == 1
    assert [(attempt.deployment, attempt.outcome) for attempt in job.attempts] == [("sim/0", "stream_broken")]
    written = -(-len(text_of(chunks)) // 4)
    assert job.outcome.usage == Usage(3, written)
    assert job.outcome.cost_usd == Decimal(3 + 2 * written) / 1_000_000
    assert job.outcome.served_by == "sim/0"
    [limits] = await rig.parts.limits.look("sim", rig.lane.deployments[:1])
    assert len(limits.held) == 0
    assert await rig.waiting(spec) == 0


@pytest.mark.hazard(20)
async def test_a_stream_that_breaks_after_another_deployment_failed_is_not_begun_again(
    rig: Rig, api: RedisAnswerStreams
) -> None:
    await rig.provider.faults("status", status=503, count=1)
    await rig.provider.faults("cut_stream", at_byte=1_000)
    async with asking(rig, api, "Both", **LONG) as (spec, reader):
        await run(rig)
        assert await read(reader)
    job = await rig.job(spec)
    assert job.status is JobStatus.FAILED
    assert [attempt.outcome for attempt in job.attempts] == ["overloaded", "stream_broken"]


@pytest.mark.hazard(20)
async def test_a_job_whose_worker_died_midway_runs_again_but_not_for_the_same_reader(
    rig: Rig, api: RedisAnswerStreams, valkey_url: str
) -> None:
    await rig.provider.faults("latency", seconds=30.0, count=1)
    async with asking(rig, api, "Dies", **LONG) as (spec, reader):
        delivery = await rig.take()
        dying = asyncio.create_task(rig.executor("dying").execute(delivery, rig.lane))
        pieces = aiter(reader)
        async with asyncio.timeout(_GENEROUSLY_S):
            await anext(pieces)
        await rig.parts.queue.publish(delivery.queue, delivery.message)
        await rig.executor("another").execute(await rig.take(), rig.lane)
        assert (await rig.job(spec)).status is JobStatus.SUCCEEDED
        dying.cancel()
        await asyncio.wait([dying])
        shown = text_of(await broken(reader))
    assert len(shown) < len(await content(rig, spec))


async def test_a_client_that_hangs_up_does_not_hold_its_job(rig: Rig, api: RedisAnswerStreams) -> None:
    async with asking(rig, api, "Gone", **LONG) as (spec, reader):
        running = asyncio.create_task(run(rig))
        async with asyncio.timeout(_GENEROUSLY_S):
            await anext(aiter(reader))
    await running
    assert (await rig.job(spec)).status is JobStatus.SUCCEEDED


async def test_a_cancelled_job_aborts_its_stream(rig: Rig, api: RedisAnswerStreams) -> None:
    await rig.provider.faults("latency", seconds=30.0)
    executor = rig.executor()
    async with asking(rig, api, "Stop", **LONG) as (spec, reader):
        running = asyncio.create_task(executor.execute(await rig.take(), rig.lane))
        async with asyncio.timeout(_GENEROUSLY_S):
            await anext(aiter(reader))
        await rig.parts.store.cancel(TEAM, spec.id)
        executor.abort(spec.id)
        await running
        await read(reader)
    assert (await rig.provider.wait_until_idle())["aborted"] == 1
    assert (await rig.job(spec)).status is JobStatus.CANCELLED
    assert await rig.waiting(spec) == 0
