"""How long a team's 50 bulk jobs take alone, and beside another team that submitted 20,000 before it.

    python benchmarks/fairness.py [--noisy 20000] [--quiet 50] [--rounds 3] [--check]

An API and 4 workers on RabbitMQ, and a provider of 6,000 requests a minute. Each team has a key of its own. The time of a job is from
its creation to its end. Takes about a minute; what the first team still has to do then is dropped.
"""

import argparse
from collections.abc import Sequence
from typing import Final

from rich.table import Table

from benchmarks.rig.command import CONSOLE, Bound, milliseconds, p95, parser, run
from benchmarks.rig.servers import on_rabbitmq
from benchmarks.rig.watching import progress
from forebay.client import AsyncClient
from tests.e2e.configs import model
from tests.e2e.load import all_answered, answered, job, took_s, upload
from tests.servers.provider import simulated_provider

SLOWER_AT_MOST: Final = 2.0


async def main(arguments: argparse.Namespace) -> list[Bound]:
    """Measure and print the table."""
    async with (
        simulated_provider(rpm=arguments.rpm, latency_s=(0.3, 0.7)) as provider,
        on_rabbitmq(model("sim", provider.url, rpm=arguments.rpm), workers=arguments.workers) as installation,
        installation.team("noisy") as noisy,
        installation.team("quiet") as quiet,
    ):
        await _rounds(quiet, arguments, "warm-up")
        alone = await _rounds(quiet, arguments, "alone")
        flood = await upload(noisy, (_bulk(f"Noise {number}") for number in range(arguments.noisy)))
        before = await answered(noisy, flood)
        beside = await _rounds(quiet, arguments, "beside")
        others = await answered(noisy, flood) - before
        left = arguments.noisy - before - others
        refused = (await provider.total())["refused_429"]
    _show(alone, beside, others)
    return [
        Bound(
            f"the p95 is at most {SLOWER_AT_MOST} x {milliseconds(p95(alone))}",
            milliseconds(p95(beside)),
            p95(beside) <= SLOWER_AT_MOST * p95(alone),
        ),
        Bound("the other team had work left all the time", f"{left} jobs left", left > 0),
        Bound("the other team progressed meanwhile", f"{others} jobs", others > 0),
        Bound("no 429", str(refused), refused == 0),
    ]


def _arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--noisy", type=int, default=20_000, help="jobs of the first team")
    made.add_argument("--quiet", type=int, default=50, help="jobs of the second team, in each round")
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--rpm", type=int, default=6_000)
    made.add_argument("--workers", type=int, default=4)
    return made.parse_args()


async def _rounds(client: AsyncClient, arguments: argparse.Namespace, name: str) -> list[float]:
    """Submit the quiet team's jobs, wait for them, and once more; give the seconds that each job took."""
    took: list[float] = []
    with progress(name, arguments.rounds) as show:
        for number in range(arguments.rounds):
            batch = await upload(client, (_bulk(f"{name} {number} {each}") for each in range(arguments.quiet)))
            took += [took_s(found) for found in await all_answered(client, batch, within_s=600)]
            show(number + 1)
    return took


def _bulk(text: str) -> dict[str, object]:
    return job("sim", text, priority="bulk")


def _show(alone: Sequence[float], beside: Sequence[float], others: int) -> None:
    table = Table("the second team's jobs", "p50", "p95", "most", "of the first answered meanwhile")
    for name, took, meanwhile in (("alone", alone, ""), ("beside the first team", beside, str(others))):
        middle = sorted(took)[len(took) // 2]
        table.add_row(name, *(milliseconds(seconds) for seconds in (middle, p95(took), max(took))), meanwhile)
    CONSOLE.print(table)


if __name__ == "__main__":
    run(main, _arguments())
