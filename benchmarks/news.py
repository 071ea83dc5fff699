"""Who is told of what, while workers, couriers and API processes are killed one after the other.

    python benchmarks/news.py [--jobs 1500] [--seconds 60] [--between 3] [--seed N] [--check]

Two API processes, 2 workers, 2 couriers and a scheduler on RabbitMQ, a Valkey and a file store of their own. Every job names a webhook; each tenth has a
request that is too large for its message. Every ``--between`` seconds one process is ended as ``kill -9`` does, and started again; the seed says which. The
receiver verifies each event, and now and then, at the first arrival of one, drops its answer after processing, refuses, or says nothing for a
while. Clients wait for some of the jobs at an API that dies. The seed is printed, and repeats a run. Takes about three minutes.
"""

import argparse
import asyncio
import random
import secrets
import tempfile
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import redis.asyncio
from aiohttp import web
from rich.table import Table

from benchmarks.rig.command import CONSOLE, Bound, parser, run
from benchmarks.rig.watching import progress
from forebay.client import AsyncClient
from shared.adapters.embedded.valkey import EmbeddedValkey
from shared.domain.clock import SystemClock
from tests.e2e.configs import model, write
from tests.e2e.load import Job, all_finished, job, upload
from tests.e2e.processes import ADMIN_KEY, Running, forebay
from tests.eventually import eventually
from tests.servers.provider import simulated_provider
from tests.servers.rabbitmq import own_rabbitmq
from tests.servers.receiver import Answer, Receiver, dawdle, drop_the_answer, receiver, say, take

ROLES: Final = ("api", "api", "worker", "worker", "couriers", "couriers", "scheduler")
MORTAL: Final = (0, 2, 3, 4, 5)
"""Places in ``ROLES`` of those that are killed; the other API takes the submissions."""

LARGE: Final = 300_000
"""Characters of a large request."""

STARTS: Final = 3
WAITERS: Final = 50
QUIET_S: Final = 300.0
"""Seconds after the last job in which everything must have been told. A receiver that fails gets one event at a time, and the
others come again after up to 64 s each, so that the last ones may take minutes."""


@dataclass
class Fleet:
    """Processes of ours, by their place in ``ROLES``. killed: how many of each role."""

    stack: AsyncExitStack
    config: Path
    settings: dict[str, str]
    running: dict[int, Running] = field(default_factory=dict)
    killed: Counter[str] = field(default_factory=Counter)
    starting: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self, place: int) -> None:
        """Start the process of a place; again, if a loaded machine did not let it reach its servers in time."""
        role = ROLES[place]
        port = ("--port", "0") if role == "api" else ()
        for _ in range(STARTS):
            try:
                started = forebay(role, *port, "--config", str(self.config), settings=self.settings)
                self.running[place] = await self.stack.enter_async_context(started)
            except AssertionError as error:
                CONSOLE.print(f"A process of {role} did not start: {error}")
            else:
                return

    def kill_and_restart(self, chance: random.Random) -> None:
        """End one of the processes that run, as a power cut does, and begin to start it again."""
        alive = [place for place in MORTAL if place in self.running]
        if alive:
            place = chance.choice(alive)
            self.running.pop(place).kill()
            self.killed[ROLES[place]] += 1
            self.starting.append(asyncio.create_task(self.start(place)))

    def url(self, place: int) -> str:
        """Give where an API process listens."""
        return str(self.running[place].ready["name"])


async def main(arguments: argparse.Namespace) -> list[Bound]:
    """Measure and print the table."""
    seed = arguments.seed if arguments.seed is not None else secrets.randbelow(2**32)
    CONSOLE.print(f"seed: {seed}")
    chance = random.Random(seed)  # noqa: S311 - a run is to be repeated, not to be secret
    async with _installation() as (fleet, hook):
        hook.answers = [_moody(chance), take]
        async with AsyncClient(fleet.url(1), ADMIN_KEY) as client:
            hook.secret = (await _ask(fleet.url(1), "/v1/webhooks/secret"))["secret"]
            jobs = [_job(number, hook.url) for number in range(arguments.jobs)]
            batch, _ = await asyncio.gather(upload(client, jobs), _kill(fleet, chance, arguments))
            ended = await all_finished(client, batch, within_s=600)
            told = await _all_told(hook, arguments.jobs)
            if len(told) < arguments.jobs:
                await _explain(fleet, hook)
            requests = list((fleet.config.parent / "files" / "requests").rglob("*.json"))
    _show(fleet, hook)
    statuses = Counter(each["status"] for each in ended)
    ids = {name: {id_ for id_, _ in events} for name, events in told.items()}
    answers = {name: {answer for _, answer in events} for name, events in told.items()}
    return [
        Bound("every job succeeded", str(dict(statuses)), statuses == {"succeeded": arguments.jobs}),
        Bound("every job's end was told", f"{len(told)} of {arguments.jobs}", len(told) == arguments.jobs),
        Bound(
            "ids per event: 1",
            str(max(map(len, ids.values()), default=0)),
            all(len(each) == 1 for each in ids.values()),
        ),
        Bound(
            "no two results of one job",
            str(max(map(len, answers.values()), default=0)),
            all(len(each) == 1 for each in answers.values()),
        ),
        Bound("no request's file is left", str(len(requests)), not requests),
    ]


def _arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--jobs", type=int, default=1_500)
    made.add_argument("--seconds", type=float, default=60.0, help="how long processes are killed")
    made.add_argument("--between", type=float, default=3.0, help="seconds from one kill to the next")
    made.add_argument("--seed", type=int, default=None, help="of an earlier run, to repeat it")
    return made.parse_args()


@asynccontextmanager
async def _installation() -> AsyncIterator[tuple[Fleet, Receiver]]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rabbitmq = await asyncio.to_thread(stack.enter_context, own_rabbitmq())
        store = EmbeddedValkey(folder / "store")
        settings = {
            "FOREBAY_REDIS_URL": await store.start(),
            "FOREBAY_AMQP_URL": rabbitmq.url,
            "FOREBAY_ADMIN_KEY": ADMIN_KEY,
            "FOREBAY_FILES_URL": (folder / "files").as_uri(),
        }
        stack.push_async_callback(store.stop)
        provider = await stack.enter_async_context(simulated_provider(latency_s=(0.2, 0.6)))
        hook = await stack.enter_async_context(receiver())
        hooks = {"allow_networks": ["127.0.0.0/8"], "timeout": "2s", "concurrency": 32}
        config = write(folder, model("sim", provider.url), concurrency=8, webhooks=hooks)
        fleet = Fleet(stack, config, settings)
        for place in range(len(ROLES)):
            await fleet.start(place)
        yield fleet, hook


def _job(number: int, webhook: str) -> Job:
    text = f"Question {number} " + "x" * (LARGE if number % 10 == 0 else 0)
    return job("sim", text, callback={"webhook": webhook})


def _moody(chance: random.Random) -> Answer:
    moods = [*[take] * 14, *[drop_the_answer] * 3, say(503), say(503), dawdle]

    async def answer(hook: Receiver, request: web.Request) -> web.StreamResponse:
        return await chance.choice(moods)(hook, request)

    return answer


async def _kill(fleet: Fleet, chance: random.Random, arguments: argparse.Namespace) -> None:
    clock = SystemClock()
    end = clock.monotonic() + arguments.seconds
    waiting = [asyncio.create_task(_wait_for_some(fleet)) for _ in range(WAITERS)]
    with progress("killing", arguments.seconds) as show:
        while (left := end - clock.monotonic()) > 0:
            await clock.sleep(arguments.between)
            fleet.kill_and_restart(chance)
            show(arguments.seconds - left)
    await asyncio.gather(*fleet.starting)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def _wait_for_some(fleet: Fleet) -> None:
    """Wait for one job after the other at the API that dies, as a client does that does not give up."""
    while True:
        try:
            newest = (await _ask(fleet.url(0), "/v1/jobs?limit=100"))["data"]
            for each in newest:
                await _ask(fleet.url(0), f"/v1/jobs/{each['id']}?wait=10")
        except (aiohttp.ClientError, TimeoutError, KeyError):  # it is dead, or being started
            await SystemClock().sleep(0.5)


async def _ask(url: str, path: str) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(url + path) as answer:
        answer.raise_for_status()
        document: dict[str, Any] = await answer.json()
        return document


async def _all_told(hook: Receiver, jobs: int) -> dict[str, set[tuple[str, str]]]:
    """Wait until every job's end came; give, by job, the ids and the responses that came."""

    async def are_told() -> bool:
        return len(hook.ids) >= jobs

    try:
        await eventually(are_told, within_s=QUIET_S)
    except AssertionError as error:
        CONSOLE.print(f"[bold red]{error}")
    told: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for received in hook.received:
        data = received.event["data"]
        told[data["id"]].add((received.id, repr(data["response"])))
    return told


async def _explain(fleet: Fleet, hook: Receiver) -> None:
    """Say how far the news came that did not arrive."""
    async with redis.asyncio.Redis.from_url(fleet.settings["FOREBAY_REDIS_URL"]) as client:
        waiting = [
            str(notice) async for key in client.scan_iter("*:outbox") for notice in await client.zrange(key, 0, -1)
        ]
    CONSOLE.print(f"Notices that nobody published: {waiting}")
    pending = (await _ask(fleet.url(1), "/v1/webhooks/deliveries?status=pending&limit=1000"))["data"]
    for each in pending:
        times = hook.seen.get(each["event_id"], 0) if "event_id" in each else "?"
        CONSOLE.print(f"Pending, seen {times} times: {each}")


def _show(fleet: Fleet, hook: Receiver) -> None:
    table = Table("killed", "times")
    for role, times in sorted(fleet.killed.items()):
        table.add_row(role, str(times))
    CONSOLE.print(table)
    arrivals = Counter(hook.seen.values())
    CONSOLE.print(f"Events by how often they came: {dict(sorted(arrivals.items()))}")


if __name__ == "__main__":
    run(main, _arguments())
