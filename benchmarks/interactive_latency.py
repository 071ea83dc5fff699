"""How long interactive jobs wait, alone and while bulk and standard work saturate the provider's limit.

    python benchmarks/interactive_latency.py [--on all|rabbitmq|up] [--seconds 30] [--bulk 10000] [--check]

Runs an API and 4 workers on RabbitMQ, then ``forebay up`` on the embedded stack. The wait is from a job's creation to
the start of its provider call, as the job itself tells. Takes about three minutes.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from rich.table import Table

from benchmarks.rig.command import CONSOLE, Bound, milliseconds, p95, parser, run
from benchmarks.rig.servers import embedded, on_rabbitmq
from benchmarks.rig.watching import progress
from forebay.client import AsyncClient
from tests.e2e.configs import model
from tests.e2e.installations import Installation
from tests.e2e.load import Job, answered, job, steadily, upload, waited_s
from tests.servers.provider import SimulatedProvider, simulated_provider

SLOWER_AT_MOST: Final = 1.5
SLACK_S: Final = 0.1
WARM_UP_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Result:
    """The waits of interactive jobs alone and beside others, and how many of those were answered meanwhile."""

    where: str
    alone: Sequence[float]
    beside: Sequence[float]
    others: dict[str, int]
    total: dict[str, int]


async def main(arguments: argparse.Namespace) -> list[Bound]:
    """Measure and print the table."""
    places = ["rabbitmq", "up"] if arguments.on == "all" else [arguments.on]
    results = [await _measure(place, arguments) for place in places]
    table = Table("interactive jobs", "p50", "p95", "most", "answered meanwhile", "429s")
    for result in results:
        for name, waits in (("alone", result.alone), ("beside", result.beside)):
            others = ", ".join(f"{count} {name}" for name, count in result.others.items()) if name == "beside" else ""
            middle = sorted(waits)[len(waits) // 2]
            shown = [milliseconds(wait) for wait in (middle, p95(waits), max(waits))]
            table.add_row(f"{result.where}, {name}", *shown, others, str(result.total["refused_429"]))
    CONSOLE.print(table)
    return [bound for result in results for bound in _bounds(result)]


def _arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--on", choices=["all", "rabbitmq", "up"], default="all")
    made.add_argument("--seconds", type=float, default=30, help="of interactive work, each time")
    made.add_argument("--per-second", type=float, default=5)
    made.add_argument("--bulk", type=int, default=10_000)
    made.add_argument("--standard", type=int, default=2_000)
    made.add_argument("--rpm", type=int, default=6_000)
    made.add_argument("--workers", type=int, default=4)
    return made.parse_args()


def _bounds(result: Result) -> list[Bound]:
    allowed = SLOWER_AT_MOST * p95(result.alone) + SLACK_S
    return [
        Bound(
            f"{result.where}: the p95 is at most {SLOWER_AT_MOST} x {milliseconds(p95(result.alone))} + 100 ms",
            milliseconds(p95(result.beside)),
            p95(result.beside) <= allowed,
        ),
        Bound(f"{result.where}: every class progresses", str(result.others), all(result.others.values())),
    ]


async def _measure(place: str, arguments: argparse.Namespace) -> Result:
    async with (
        simulated_provider(rpm=arguments.rpm, latency_s=(0.3, 0.7)) as provider,
        _installation(place, provider, arguments) as installation,
    ):
        return await _compare(place, installation.client, provider, arguments)


def _installation(
    place: str, provider: SimulatedProvider, arguments: argparse.Namespace
) -> AbstractAsyncContextManager[Installation]:
    sim = model("sim", provider.url, rpm=arguments.rpm)
    return embedded(sim) if place == "up" else on_rabbitmq(sim, workers=arguments.workers)


async def _compare(
    place: str, client: AsyncClient, provider: SimulatedProvider, arguments: argparse.Namespace
) -> Result:
    await _waits(client, arguments, "warm-up", WARM_UP_S)
    alone = await _waits(client, arguments, f"{place}, alone", arguments.seconds)
    batches = {
        priority: await upload(
            client, (job("sim", f"{priority} {number}", priority=priority) for number in range(jobs))
        )
        for priority, jobs in (("standard", arguments.standard), ("bulk", arguments.bulk))
    }
    before = {priority: await answered(client, batch) for priority, batch in batches.items()}
    beside = await _waits(client, arguments, f"{place}, beside", arguments.seconds)
    others = {priority: await answered(client, batch) - before[priority] for priority, batch in batches.items()}
    return Result(place, alone, beside, others, await provider.total())


async def _waits(client: AsyncClient, arguments: argparse.Namespace, name: str, seconds: float) -> list[float]:
    """Submit interactive jobs at an even rate; give the seconds that each waited."""
    jobs = round(seconds * arguments.per_second)
    with progress(name, jobs) as show:

        def counted() -> Iterator[Job]:
            for number in range(jobs):
                show(number + 1)
                yield job("sim", f"{name} {number}", priority="interactive")

        return [waited_s(found) for found in await steadily(client, counted(), arguments.per_second)]


if __name__ == "__main__":
    run(main, _arguments())
