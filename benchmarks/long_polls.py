"""What thousands of clients cost that wait: by long polls, by event streams, and beside that by asking every second.

    python benchmarks/long_polls.py [--polls 2000] [--idle 20] [--check]

One API process, with RabbitMQ and a Valkey of its own. First nothing happens for a while, and the API's processor time is read from
the kernel; then all jobs are finished, as fast as a worker's own step does that, and the answers are timed. The clients
are plain sockets in this process. Takes about two minutes and a half.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
from rich.table import Table

from benchmarks.rig.command import CONSOLE, Bound, milliseconds, parser, run
from benchmarks.rig.servers import on_rabbitmq
from forebay.client import AsyncClient, JobQuery
from shared.adapters.redis.connection import connect
from shared.adapters.redis.job_store import RedisJobStore
from shared.domain.clock import SystemClock
from shared.domain.job import FINAL_STATUSES, JobSpec, JobStatus, Outcome
from shared.domain.tenants import DEFAULT_TEAM
from shared.domain.usage import Usage
from tests.e2e.configs import model
from tests.e2e.installations import Cluster
from tests.e2e.load import job, upload
from tests.e2e.polls import Poll, connected
from tests.e2e.processes import ADMIN_KEY
from tests.e2e.processor_time import processor_time_s

MOST_OF_A_CORE: Final = 0.10
LATEST_ANSWER_S: Final = 1.0
SETTLING_S: Final = 3.0
EVERY_S: Final = 1.0
"""How often the others ask."""

_AT_ONCE: Final = 32
_ANSWER: Final = Outcome(
    JobStatus.SUCCEEDED,
    response={"choices": [{"message": {"role": "assistant", "content": "word " * 400}, "finish_reason": "stop"}]},
    usage=Usage(20, 400),
)


@dataclass(frozen=True, slots=True)
class Result:
    """What one way of waiting cost.

    idle: share of a core. ended_at, answered_at: of each job, and of its client's answer.
    """

    way: str
    idle: float
    ended_at: Sequence[float]
    answered_at: Sequence[float]

    @property
    def after_the_last_end_s(self) -> float:
        """Seconds from the end of the last job to the last answer."""
        return max(self.answered_at) - max(self.ended_at)

    @property
    def delays_s(self) -> list[float]:
        """Seconds from each job's end to its client's answer, in order."""
        return sorted(answer - end for end, answer in zip(self.ended_at, self.answered_at, strict=True))


Wait = Callable[[Sequence[Poll]], Awaitable[Sequence[float]]]
"""Waits on every connection for its job's end; gives the moment of each answer."""


@dataclass(frozen=True, slots=True)
class _Way:
    """How the clients wait. jobs: that they wait for; None: as many as clients."""

    name: str
    query: str
    wait: Wait
    jobs: int | None = None


async def main(arguments: argparse.Namespace) -> list[Bound]:
    """Measure and print the table."""
    async with on_rabbitmq(model("sim", "http://127.0.0.1:9/v1"), workers=0) as installation:
        each = await _measure(installation, arguments, _Way("long polls, a job each", "?wait=300", _once))
        together = await _measure(installation, arguments, _Way("long polls, all for one job", "?wait=300", _once, 1))
        streams = await _measure(installation, arguments, _Way("event streams, a job each", "/events", _to_the_end))
        asking = await _measure(installation, arguments, _Way("asking every second, a job each", "", _every_second))
    table = Table(
        f"{arguments.polls} clients",
        "idle: of a core",
        "job's end to answer, median",
        "most",
        "last end to last answer",
    )
    for result in (each, together, streams, asking):
        delays = result.delays_s
        moments = (delays[len(delays) // 2], delays[-1], result.after_the_last_end_s)
        table.add_row(result.way, f"{result.idle:.1%}", *map(milliseconds, moments))
    CONSOLE.print(table)
    return [bound for result in (each, together, streams) for bound in _bounds(result)]


def _bounds(result: Result) -> list[Bound]:
    return [
        Bound(
            f"{result.way}: less than {MOST_OF_A_CORE:.0%} of a core while idle",
            f"{result.idle:.1%}",
            result.idle < MOST_OF_A_CORE,
        ),
        Bound(
            f"{result.way}: each is answered within {LATEST_ANSWER_S:g} s of its job's end",
            milliseconds(result.delays_s[-1]),
            result.delays_s[-1] < LATEST_ANSWER_S,
        ),
    ]


def _arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--polls", type=int, default=2_000)
    made.add_argument("--idle", type=float, default=20.0, help="seconds in which nothing happens")
    return made.parse_args()


async def _measure(installation: Cluster, arguments: argparse.Namespace, way: _Way) -> Result:
    clock = SystemClock()
    ids = await _jobs(installation.client, way.jobs or arguments.polls)
    asked = [ids[number % len(ids)] for number in range(arguments.polls)]
    async with _worker(installation.store.url, ids) as finish:
        polls = await connected(installation.url, ADMIN_KEY, [f"/v1/jobs/{job_id}{way.query}" for job_id in asked])
        waiting = asyncio.ensure_future(way.wait(polls))
        await clock.sleep(SETTLING_S)
        api = installation.api.process.pid
        began, spent = clock.monotonic(), processor_time_s(api)
        await clock.sleep(arguments.idle)
        idle = (processor_time_s(api) - spent) / (clock.monotonic() - began)
        ended_at = dict(zip(ids, await finish(), strict=True))
        answered_at = await waiting
    for poll in polls:
        poll.close()
    return Result(way.name, idle, [ended_at[job_id] for job_id in asked], answered_at)


async def _jobs(client: AsyncClient, count: int) -> list[str]:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()  # noqa: TID251 - the API takes the world's time
    batch = await upload(client, (job("sim", f"Question {number}", run_at=later) for number in range(count)))
    return [found["id"] async for found in client.jobs(JobQuery(batch=batch))]


@asynccontextmanager
async def _worker(redis_url: str, ids: Sequence[str]) -> AsyncIterator[Callable[[], Awaitable[list[float]]]]:
    """Hold every job as a worker does; give what finishes them all, and gives the moment of each one's end."""
    client = connect(redis_url)
    store = RedisJobStore(client)
    clock, turns = SystemClock(), asyncio.Semaphore(_AT_ONCE)

    async def claim(job_id: str) -> tuple[JobSpec, int]:
        async with turns:
            found = await store.get(DEFAULT_TEAM, job_id)
            assert found is not None
            return found.spec, (await store.claim(found.spec, "benchmark")).fence

    async def finish(spec: JobSpec, fence: int) -> float:
        async with turns:
            assert await store.finish(spec, fence, _ANSWER, ())
            return clock.monotonic()

    held = await asyncio.gather(*map(claim, ids))

    async def finish_all() -> list[float]:
        return await asyncio.gather(*(finish(spec, fence) for spec, fence in held))

    yield finish_all
    await client.aclose()


async def _once(polls: Sequence[Poll]) -> list[float]:
    for poll in polls:
        poll.ask()
    for body in await asyncio.gather(*(poll.answered for poll in polls)):
        assert _is_finished(orjson.loads(body)), body
    return [poll.answered_at or 0.0 for poll in polls]


async def _to_the_end(polls: Sequence[Poll]) -> list[float]:
    for poll in polls:
        poll.ask()
    for body in await asyncio.gather(*(poll.answered for poll in polls)):
        assert b"event: succeeded" in body, body
    return [poll.answered_at or 0.0 for poll in polls]


async def _every_second(polls: Sequence[Poll]) -> list[float]:
    clock = SystemClock()

    async def ask_again_and_again(number: int, poll: Poll) -> float:
        await clock.sleep(EVERY_S * number / len(polls))
        while True:
            poll.ask()
            if _is_finished(orjson.loads(await poll.answered)):
                return poll.answered_at or 0.0
            await clock.sleep(EVERY_S)

    return await asyncio.gather(*(ask_again_and_again(number, poll) for number, poll in enumerate(polls)))


def _is_finished(found: dict[str, Any]) -> bool:
    return found.get("status") in FINAL_STATUSES  # a refusal (503) has none


if __name__ == "__main__":
    run(main, _arguments())
