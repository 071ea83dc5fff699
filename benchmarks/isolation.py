"""What a model gets done alone, and beside another model that is stuck with a large backlog.

    python benchmarks/isolation.py [--seconds 20] [--backlog 5000] [--check]

An API and 4 workers on RabbitMQ serve the models a and b, of 6,000 requests a minute each, at providers of their own. The calls that b's provider
serves in a second are counted three times: without work for a; with a limit of 0 for a; and while a's provider hangs.
Takes about two minutes.
"""

import argparse
import asyncio
from dataclasses import dataclass
from typing import Final

from rich.table import Table

from benchmarks.rig.command import CONSOLE, Bound, parser, run
from benchmarks.rig.servers import on_rabbitmq
from benchmarks.rig.watching import SAMPLE_S, progress
from shared.domain.clock import SystemClock
from tests.e2e.configs import model
from tests.e2e.load import job, upload
from tests.servers.provider import SimulatedProvider, simulated_provider

LOST_AT_MOST: Final = 0.05
WARM_UP_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Case:
    """How model a is stuck. rpm: its limit in Forebay."""

    name: str
    rpm: int = 6_000
    has_backlog: bool = True
    hangs: bool = False


CASES: Final = (
    Case("alone", has_backlog=False),
    Case("a has a limit of 0", rpm=0),
    Case("a's provider hangs", hangs=True),
)


async def main(arguments: argparse.Namespace) -> list[Bound]:
    """Measure and print the table."""
    rates = {case.name: await _measure(case, arguments) for case in CASES}
    alone = rates[CASES[0].name]
    table = Table("model b", "calls served a second", "of that alone")
    for name, rate in rates.items():
        table.add_row(name, f"{rate:.1f}", f"{rate / alone:.1%}")
    CONSOLE.print(table)
    return [
        Bound(
            f"{name}: at least {1 - LOST_AT_MOST:.0%} of alone",
            f"{rate / alone:.1%}",
            rate >= (1 - LOST_AT_MOST) * alone,
        )
        for name, rate in rates.items()
        if name != CASES[0].name
    ]


def _arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--seconds", type=float, default=20, help="that are counted, in each case")
    made.add_argument("--backlog", type=int, default=5_000, help="jobs of model a")
    made.add_argument("--rpm", type=int, default=6_000, help="of model b")
    made.add_argument("--workers", type=int, default=4)
    return made.parse_args()


async def _measure(case: Case, arguments: argparse.Namespace) -> float:
    async with (
        simulated_provider(latency_s=(0.3, 0.7)) as stuck,
        simulated_provider(latency_s=(0.3, 0.7)) as provider,
        on_rabbitmq(
            model("a", stuck.url, rpm=case.rpm), model("b", provider.url, rpm=arguments.rpm), workers=arguments.workers
        ) as installation,
    ):
        if case.hangs:
            await stuck.faults("hang")
        if case.has_backlog:
            await upload(installation.client, (job("a", f"Stuck {number}") for number in range(arguments.backlog)))
        enough = round((arguments.seconds + 2 * WARM_UP_S) * arguments.rpm / 60)
        working = asyncio.create_task(
            upload(installation.client, (job("b", f"Question {number}") for number in range(enough)))
        )
        rate = await _served_a_second(case.name, provider, arguments.seconds)
        await working
        return rate


async def _served_a_second(name: str, provider: SimulatedProvider, seconds: float) -> float:
    """Count from a while after the first call on, for that many seconds."""
    clock = SystemClock()
    await provider.wait_for(30, served=1)
    with progress(name, WARM_UP_S + seconds) as show:
        begun = clock.monotonic()
        while (passed := clock.monotonic() - begun) < WARM_UP_S:
            show(round(passed))
            await clock.sleep(SAMPLE_S)
        begun, before = clock.monotonic(), (await provider.total())["served"]
        while (passed := clock.monotonic() - begun) < seconds:
            show(round(WARM_UP_S + passed))
            await clock.sleep(SAMPLE_S)
        served = (await provider.total())["served"] - before
        return served / (clock.monotonic() - begun)


if __name__ == "__main__":
    run(main, _arguments())
