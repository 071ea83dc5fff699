"""What the provider sees when the store is killed and restarted in the middle of a saturating load.

    python benchmarks/store_outage.py [--jobs 7000] [--kills 3] [--away 2] [--forget] [--check]

An API and 4 workers on RabbitMQ; the store is a Valkey of their own with an append-only file, ended as ``kill -9`` does. The provider refuses
nothing: it only counts, so that what is kept is kept by Forebay alone. ``--forget`` also deletes, while the store is away
from the workers, everything it knew of the limits. Takes about two minutes.
"""

import argparse
import asyncio
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import redis.asyncio
from rich.table import Table

from benchmarks.rig.command import CONSOLE, Bound, parser, run
from benchmarks.rig.servers import on_rabbitmq
from benchmarks.rig.watching import watch
from shared.domain.clock import SystemClock
from tests.e2e.configs import model
from tests.e2e.installations import Cluster
from tests.e2e.load import all_finished, job, upload
from tests.servers.provider import SimulatedProvider, simulated_provider

BETWEEN_KILLS_S: Final = 12.0
SLICE_S: Final = 1.0
"""Seconds in which providers count: what may come at once beyond an even rate."""


async def main(arguments: argparse.Namespace) -> list[Bound]:
    """Measure and print the table."""
    statuses: list[str] = []
    killed_at: list[float] = []

    async def work(provider: SimulatedProvider) -> None:
        limited = model("sim", provider.url, rpm=arguments.rpm)
        async with on_rabbitmq(limited, workers=arguments.workers) as installation:
            batch = await upload(installation.client, (job("sim", f"Question {n}") for n in range(arguments.jobs)))
            killed_at.extend(await _kill_and_restart(installation, arguments))
            statuses.extend(found["status"] for found in await all_finished(installation.client, batch, within_s=900))

    async with simulated_provider(latency_s=(0.3, 0.7)) as provider:
        working = asyncio.create_task(work(provider))
        await watch("killing the store", provider, arguments.jobs, working)
        arrivals = [arrival.at for arrival in await provider.arrivals()]
    _show(arrivals, killed_at)
    CONSOLE.print(f"Calls made twice: {len(arrivals) - arguments.jobs}")
    return _bounds(arrivals, statuses, arguments)


def _arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--jobs", type=int, default=7_000)
    made.add_argument("--kills", type=int, default=3)
    made.add_argument("--away", type=float, default=2.0, help="seconds that the store is away, each time")
    made.add_argument("--forget", action="store_true", help="the store also loses what it knew of the limits")
    made.add_argument("--rpm", type=int, default=6_000)
    made.add_argument("--workers", type=int, default=4)
    return made.parse_args()


async def _kill_and_restart(installation: Cluster, arguments: argparse.Namespace) -> list[float]:
    clock, killed_at = SystemClock(), list[float]()
    for _ in range(arguments.kills):
        await clock.sleep(BETWEEN_KILLS_S)
        await installation.store.kill()
        killed_at.append(clock.monotonic())
        await clock.sleep(arguments.away)
        await installation.store.start()
        if arguments.forget:
            await _forget_limits(installation.store.url)
    return killed_at


async def _forget_limits(url: str) -> None:
    async with redis.asyncio.Redis.from_url(url) as client:
        if names := [name async for name in client.scan_iter("*:limits:*")]:
            await client.delete(*names)


def most_within(arrivals: Sequence[float], seconds: float) -> int:
    """Give the most calls in any window of that length; ``arrivals`` in order."""
    return max(bisect_left(arrivals, at + seconds) - place for place, at in enumerate(arrivals))


def _show(arrivals: Sequence[float], killed_at: Sequence[float]) -> None:
    begun = arrivals[0]
    table = Table(
        "the store was killed at", "calls in the 5 s before", "seconds without a call", "calls in the 5 s after it"
    )
    for at in killed_at:
        last_before = max(0, bisect_left(arrivals, at) - 1)
        near = arrivals[last_before : bisect_left(arrivals, at + BETWEEN_KILLS_S)]
        gap, back = max(((later - earlier, later) for earlier, later in pairwise(near)), default=(0.0, at))
        before, after = (bisect_left(arrivals, end) - bisect_left(arrivals, end - 5) for end in (at, back + 5))
        table.add_row(f"{at - begun:.1f} s", str(before), f"{gap:.1f}", str(after))
    CONSOLE.print(table)


def _bounds(arrivals: Sequence[float], statuses: Sequence[str], arguments: argparse.Namespace) -> list[Bound]:
    bounds = []
    for seconds in (1.0, 5.0, 60.0):
        allowed = arguments.rpm / 60 * (seconds + SLICE_S)
        most = most_within(arrivals, seconds)
        bounds.append(Bound(f"at most {allowed:.0f} calls in any {seconds:.0f} s", str(most), most <= allowed))
    succeeded = sum(status == "succeeded" for status in statuses)
    bounds.append(Bound("every job succeeded", f"{succeeded} of {arguments.jobs}", succeeded == arguments.jobs))
    return bounds


if __name__ == "__main__":
    run(main, _arguments())
