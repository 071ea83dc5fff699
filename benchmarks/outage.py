"""What an outage of the primary provider costs: failed jobs, calls into the void, and the way back.

    python benchmarks/outage.py [--phase 30] [--rate 10] [--check]

An API and 2 workers on RabbitMQ; jobs come at a steady rate. The primary answers 503, then refuses connections, then hangs, then is well
again; a fallback model serves meanwhile. Every attempt is counted as the jobs themselves tell it, those that reached no
server included. What the breaker may let through: the failures that open it and the calls that were on their way, then a
probe after 5 s, and after twice the time each further time, up to 60 s. Takes about four minutes.
"""

import argparse
import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, count, repeat, takewhile
from typing import Final
from urllib.parse import urlsplit

from rich.table import Table

from benchmarks.rig.command import CONSOLE, Bound, parser, run
from benchmarks.rig.servers import on_rabbitmq
from benchmarks.rig.watching import progress
from shared.domain.clock import SystemClock
from tests.e2e.configs import model
from tests.e2e.load import Job, job, moment, steadily
from tests.servers.provider import SimulatedProvider, simulated_provider
from tests.servers.proxy import Proxy, proxy_to, tcp

ALLOWED_FAILS: Final = 3
"""Failures in a row that are borne; one more opens the breaker."""

COOLDOWN_S: Final = 5.0
LONGEST_COOLDOWN_S: Final = 60.0
ON_THE_WAY_S: Final = 0.25
"""Seconds within which a failure is known to all workers; calls that begin meanwhile are on their way."""

TIMEOUT_S: Final = 2.0
BEFORE_S: Final = 10.0
SHOWN_S: Final = 15
"""Seconds of the way back that are shown."""

MORE_AT_MOST: Final = 1.1
BURST_AT_MOST: Final = 1.5
"""Of the rate of jobs, in any second after the recovery; jobs do not start at perfectly even moments."""


@dataclass(frozen=True, slots=True)
class Phase:
    """What the primary did between two moments, in seconds since the epoch."""

    name: str
    begun: float
    ended: float

    def holds(self, at: float) -> bool:
        """Tell whether a moment lies in it."""
        return self.begun <= at < self.ended


@dataclass(frozen=True, slots=True)
class Calls:
    """When attempts began, in seconds since the epoch: those on the primary, and all."""

    primary: Sequence[float]
    all: Sequence[float]

    @classmethod
    def of(cls, jobs: Sequence[Job]) -> "Calls":
        """Read them from the jobs; the first job came while all was well, so that the primary served it."""
        primary = min(jobs, key=lambda found: str(found["created_at"]))["served_by"]
        attempts = [(moment(each["started"]), each["deployment"]) for found in jobs for each in found["attempts"]]
        return cls([at for at, deployment in attempts if deployment == primary], [at for at, _ in attempts])


async def main(arguments: argparse.Namespace) -> list[Bound]:
    """Measure and print the tables."""
    async with (
        simulated_provider(latency_s=(0.1, 0.3)) as primary,
        simulated_provider(latency_s=(0.1, 0.3)) as spare,
        proxy_to(tcp("127.0.0.1", urlsplit(primary.url).port or 0)) as line,
        on_rabbitmq(
            model("main", f"http://127.0.0.1:{line.port}/v1", order=1, timeout=TIMEOUT_S),
            model("spare", spare.url),
            workers=2,
            router={
                "fallbacks": [{"main": ["spare"]}],
                "allowed_fails": ALLOWED_FAILS,
                "cooldown_time": COOLDOWN_S,
                "num_retries": 3,
            },
        ) as installation,
    ):
        seconds = BEFORE_S + 3 * arguments.phase + arguments.after
        questions = (job("main", f"Question {number}") for number in range(round(seconds * arguments.rate)))
        working = asyncio.create_task(steadily(installation.client, questions, arguments.rate))
        phases = await _go_down_and_come_back(primary, line, arguments)
        jobs = await working
    calls = Calls.of(jobs)
    _show_phases(phases, calls, arguments)
    _show_return(phases[-1], calls)
    return _bounds(phases, calls, [found["status"] for found in jobs], arguments.rate)


def _arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--phase", type=float, default=30, help="seconds of each way to be down")
    made.add_argument("--after", type=float, default=100, help="seconds that are watched once it is well again")
    made.add_argument("--rate", type=float, default=10, help="jobs a second")
    return made.parse_args()


async def _go_down_and_come_back(primary: SimulatedProvider, line: Proxy, arguments: argparse.Namespace) -> list[Phase]:
    phases: list[Phase] = []

    async def pass_by(name: str, seconds: float) -> None:
        clock = SystemClock()
        begun = clock.now()
        with progress(name, seconds) as show:
            while (passed := clock.now() - begun) < seconds:
                show(round(passed))
                await clock.sleep(min(0.5, seconds - passed))
        phases.append(Phase(name, begun, clock.now()))

    await pass_by("well", BEFORE_S)
    await primary.faults("status", status=503)
    await pass_by("503", arguments.phase)
    await line.go_away()
    await primary.clear_faults()
    await pass_by("refused", arguments.phase)
    await primary.faults("hang")
    await line.listen()
    await pass_by("hanging", arguments.phase)
    await primary.clear_faults()
    await primary.release()
    await pass_by("well again", arguments.after)
    return phases


def _probes(after_s: float) -> int:
    """Count the probes that an open breaker allows in its first ``after_s`` seconds."""
    doubling = takewhile(lambda wait: wait < LONGEST_COOLDOWN_S, (COOLDOWN_S * 2**step for step in count()))
    return sum(1 for _ in takewhile(lambda at: at < after_s, accumulate(chain(doubling, repeat(LONGEST_COOLDOWN_S)))))


def _allowed(phase: Phase, down_since: float, rate: float) -> int:
    probes = _probes(phase.ended - down_since) - _probes(phase.begun - down_since)
    is_first = phase.begun == down_since
    return probes + (ALLOWED_FAILS + 1 + math.ceil(rate * ON_THE_WAY_S) if is_first else 0)


def _show_phases(phases: Sequence[Phase], calls: Calls, arguments: argparse.Namespace) -> None:
    table = Table("the primary is", "seconds", "calls to it", "calls in all", "the policy allows")
    for phase in phases:
        is_down = phase in phases[1:-1]
        table.add_row(
            phase.name,
            f"{phase.ended - phase.begun:.0f}",
            str(sum(map(phase.holds, calls.primary))),
            str(sum(map(phase.holds, calls.all))),
            str(_allowed(phase, phases[1].begun, arguments.rate)) if is_down else "",
        )
    CONSOLE.print(table)


def _show_return(phase: Phase, calls: Calls) -> None:
    """Show the seconds around the way back; the others are as the first or the last of them."""
    seconds = _by_second(phase, calls)
    first = next((second for second, (to_primary, _) in enumerate(seconds) if to_primary), len(seconds) - 1)
    table = Table("second after the recovery", "calls to the primary", "calls in all", "share")
    for second in range(max(0, first - 2), min(len(seconds), first + SHOWN_S)):
        to_primary, to_all = seconds[second]
        share = to_primary / to_all if to_all else 0.0
        table.add_row(str(second), str(to_primary), str(to_all), f"{'#' * round(40 * share):40} {share:.0%}")
    CONSOLE.print(table)


def _by_second(phase: Phase, calls: Calls) -> list[tuple[int, int]]:
    seconds = [
        Phase("", phase.begun + second, phase.begun + second + 1) for second in range(int(phase.ended - phase.begun))
    ]
    return [(sum(map(each.holds, calls.primary)), sum(map(each.holds, calls.all))) for each in seconds]


def _bounds(phases: Sequence[Phase], calls: Calls, statuses: Sequence[str], rate: float) -> list[Bound]:
    down = Phase("down", phases[1].begun, phases[-1].begun)
    made, allowed = sum(map(down.holds, calls.primary)), _allowed(down, down.begun, rate)
    failed = sum(status != "succeeded" for status in statuses)
    after = _by_second(phases[-1], calls)
    most = max(to_primary for to_primary, _ in after)
    last = after[-10:]
    share = sum(to_primary for to_primary, _ in last) / max(1, sum(to_all for _, to_all in last))
    return [
        Bound("no job fails", f"{failed} of {len(statuses)}", failed == 0),
        Bound(
            f"at most {MORE_AT_MOST} x {allowed} calls to the dead provider", str(made), made <= MORE_AT_MOST * allowed
        ),
        Bound(
            f"no second of the return has more than {BURST_AT_MOST * rate:.0f} calls",
            str(most),
            most <= BURST_AT_MOST * rate,
        ),
        Bound("at last the primary serves all", f"{share:.0%}", share >= 1),
    ]


if __name__ == "__main__":
    run(main, _arguments())
