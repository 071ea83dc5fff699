"""Whether deferrable work meets its deadlines, and what it takes from others before.

    python benchmarks/deferrable.py [--seconds 15] [--jobs 30] [--check]

An API and 2 workers on RabbitMQ, a provider of 3,000 requests a minute, and deferrable windows of 5 and 20 seconds. Standard work is kept
coming so that the limit is always wanted and about a second of it waits. Counted are the standard jobs answered alone; then beside
jobs of the long window, before their patience is over; then jobs of both windows go on to their deadlines; at last the standard work ends and
deferrable jobs run on what is idle. Takes about two minutes.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from rich.table import Table

from benchmarks.rig.command import CONSOLE, Bound, parser, run
from benchmarks.rig.servers import on_rabbitmq
from benchmarks.rig.watching import SAMPLE_S, progress
from forebay.client import AsyncClient
from shared.domain.clock import SystemClock
from tests.e2e.configs import model
from tests.e2e.load import Job, all_finished, answered, ask, job, took_s, upload
from tests.servers.provider import SimulatedProvider, simulated_provider

SHORT_S: Final = 5
LONG_S: Final = 20
WITHIN_S: Final = {SHORT_S: SHORT_S + 3, LONG_S: LONG_S + 5}
"""Seconds to the deadline of a job of each window; so that it waits in that window."""

WARM_UP_S: Final = 5.0
LOST_AT_MOST: Final = 0.02


class StandardWork:
    """Keeps a provider's limit wanted: about ``backlog`` standard jobs are always accepted and not answered."""

    def __init__(self, client: AsyncClient, backlog: int) -> None:
        """``backlog``: jobs."""
        self._client = client
        self._backlog = backlog
        self.answered = 0

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Keep it up until the block ends; then let it end."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as asking:
            for place in range(self._backlog):
                asking.create_task(self._ask_again_and_again(place, stop))
            try:
                yield
            finally:
                stop.set()

    async def _ask_again_and_again(self, place: int, stop: asyncio.Event) -> None:
        number = 0
        while not stop.is_set():
            await ask(self._client, job("sim", f"Standard {place} {number}"))
            self.answered += 1
            number += 1

    async def answered_in(self, name: str, seconds: float) -> int:
        """Count those answered in that many seconds from now."""
        clock, before = SystemClock(), self.answered
        begun = clock.monotonic()
        with progress(name, seconds) as show:
            while (passed := clock.monotonic() - begun) < seconds:
                show(round(passed))
                await clock.sleep(min(SAMPLE_S, seconds - passed))
        return self.answered - before


async def main(arguments: argparse.Namespace) -> list[Bound]:
    """Measure and print the table."""
    async with (
        simulated_provider(rpm=arguments.rpm, latency_s=(0.1, 0.3)) as provider,
        on_rabbitmq(
            model("sim", provider.url, rpm=arguments.rpm),
            workers=2,
            deferrable_windows=[f"{SHORT_S}s", f"{LONG_S}s"],
        ) as installation,
    ):
        client = installation.client
        work = StandardWork(client, round(arguments.backlog * arguments.rpm / 60))
        async with work.going_on():
            await work.answered_in("warm-up", WARM_UP_S)
            alone = await work.answered_in("standard alone", arguments.seconds)
            early = await _deferrable(client, LONG_S, arguments.jobs, "early")
            beside = await work.answered_in("beside deferrable", arguments.seconds)
            taken = await answered(client, early)
            later = [
                (window, await _deferrable(client, window, arguments.jobs, "late")) for window in (SHORT_S, LONG_S)
            ]
            await work.answered_in("deadlines come", LONG_S + 5)
        waited_for = [
            (window, found)
            for window, batch in ((LONG_S, early), *later)
            for found in await all_finished(client, batch)
        ]
        idle = await _on_idle_capacity(client, provider, arguments.jobs)
    _show(alone, beside, taken, waited_for, idle)
    lost = 1 - beside / alone
    late = sum(not _is_in_time(found, window) for window, found in waited_for)
    return [
        Bound("every deferrable job meets its deadline", f"{late} of {len(waited_for)} late", late == 0),
        Bound(f"before, standard work loses at most {LOST_AT_MOST:.0%}", f"{lost:.1%}", lost <= LOST_AT_MOST),
        Bound(
            f"before, at most {LOST_AT_MOST:.0%} of the calls are deferrable",
            f"{taken / (taken + beside):.1%}",
            taken <= LOST_AT_MOST * (taken + beside),
        ),
        Bound(
            f"on idle capacity it does not wait for its {LONG_S} s",
            f"{max(map(took_s, idle)):.1f} s",
            max(map(took_s, idle)) < LONG_S / 2,
        ),
    ]


def _arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument(
        "--seconds", type=float, default=15, help="that are counted; less than the long window's patience"
    )
    made.add_argument(
        "--jobs",
        type=int,
        default=30,
        help="deferrable ones, of each window; as many as the limit serves in the time left",
    )
    made.add_argument("--backlog", type=float, default=1.0, help="seconds' worth of standard work that is always there")
    made.add_argument("--rpm", type=int, default=3_000)
    return made.parse_args()


async def _deferrable(client: AsyncClient, window: int, jobs: int, name: str) -> str:
    """Submit jobs of a window; give their batch."""
    texts = (f"Deferrable {window} {name} {number}" for number in range(jobs))
    return await upload(
        client, (job("sim", text, priority="deferrable", within=f"{WITHIN_S[window]}s") for text in texts)
    )


async def _on_idle_capacity(client: AsyncClient, provider: SimulatedProvider, jobs: int) -> list[Job]:
    await provider.wait_until_idle()
    return await all_finished(client, await _deferrable(client, LONG_S, jobs, "idle"))


def _is_in_time(found: Job, window: int) -> bool:
    """Tell whether a job succeeded before its deadline."""
    return bool(found["status"] == "succeeded" and took_s(found) <= WITHIN_S[window])


def _show(alone: int, beside: int, taken: int, waited_for: Sequence[tuple[int, Job]], idle: Sequence[Job]) -> None:
    table = Table("", "jobs answered", "slowest s")
    table.add_row("standard alone", str(alone), "")
    table.add_row("standard beside deferrable work", str(beside), "")
    table.add_row("deferrable meanwhile", str(taken), "")
    for window in (SHORT_S, LONG_S):
        took = [took_s(found) for its, found in waited_for if its == window]
        name = f"deferrable, {window} s, to be done in {WITHIN_S[window]} s"
        table.add_row(
            name, str(sum(_is_in_time(found, its) for its, found in waited_for if its == window)), f"{max(took):.1f}"
        )
    table.add_row("deferrable on idle capacity", str(len(idle)), f"{max(map(took_s, idle)):.1f}")
    CONSOLE.print(table)


if __name__ == "__main__":
    run(main, _arguments())
