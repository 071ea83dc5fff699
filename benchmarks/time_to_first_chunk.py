"""How long a streamed answer's first chunk takes through the broker, beside a call of the provider itself.

    python benchmarks/time_to_first_chunk.py [--on all|rabbitmq|up] [--rounds 200] [--check]

Runs an API and 2 workers on RabbitMQ, then ``forebay up`` on the embedded stack. One client, on warm connections, asks
the provider and the broker in turn, the same question, which the broker has not heard before. The time is from the
sending of the request to the whole first event. Takes about two minutes.
"""

import argparse
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from statistics import median
from typing import Final

import aiohttp
from rich.table import Table

from benchmarks.rig.command import CONSOLE, Bound, p95, parser, run
from benchmarks.rig.servers import embedded, on_rabbitmq
from benchmarks.rig.watching import progress
from shared.domain.clock import SystemClock
from tests.e2e.configs import model
from tests.e2e.installations import Installation
from tests.e2e.processes import ADMIN_KEY
from tests.servers.provider import SimulatedProvider, simulated_provider

LATER_AT_MOST_S: Final = 0.015
WARM_UP_ROUNDS: Final = 10


@dataclass(frozen=True, slots=True)
class Result:
    """Seconds to the first chunk, of each round."""

    where: str
    directly: Sequence[float]
    through: Sequence[float]

    @property
    def later_s(self) -> float:
        """By how much the median through the broker is later."""
        return median(self.through) - median(self.directly)


async def main(arguments: argparse.Namespace) -> list[Bound]:
    """Measure and print the table."""
    places = ["rabbitmq", "up"] if arguments.on == "all" else [arguments.on]
    results = [await _measure(place, arguments) for place in places]
    table = Table("time to the first chunk", "median", "p95", "later by")
    for result in results:
        for name, times in (("the provider itself", result.directly), ("through the broker", result.through)):
            later = _milliseconds(result.later_s) if times is result.through else ""
            table.add_row(f"{result.where}, {name}", _milliseconds(median(times)), _milliseconds(p95(times)), later)
    CONSOLE.print(table)
    return [_bound(result) for result in results]


def _arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--on", choices=["all", "rabbitmq", "up"], default="all")
    made.add_argument("--rounds", type=int, default=200)
    made.add_argument("--workers", type=int, default=2)
    return made.parse_args()


def _bound(result: Result) -> Bound:
    return Bound(
        f"{result.where}: the median is at most {_milliseconds(LATER_AT_MOST_S)} later",
        _milliseconds(result.later_s),
        result.later_s <= LATER_AT_MOST_S,
    )


async def _measure(place: str, arguments: argparse.Namespace) -> Result:
    async with (
        simulated_provider(latency_s=(0.1, 0.1)) as provider,
        _installation(place, provider, arguments) as installation,
        aiohttp.ClientSession(headers={"authorization": f"Bearer {ADMIN_KEY}"}) as session,
    ):
        return await _compare(place, session, (provider.url, f"{installation.url}/v1"), arguments.rounds)


def _installation(
    place: str, provider: SimulatedProvider, arguments: argparse.Namespace
) -> AbstractAsyncContextManager[Installation]:
    sim = model("sim-1", provider.url, model="openai/sim-1", rpm=60_000)
    return embedded(sim) if place == "up" else on_rabbitmq(sim, workers=arguments.workers)


async def _compare(place: str, session: aiohttp.ClientSession, urls: tuple[str, str], rounds: int) -> Result:
    times: tuple[list[float], list[float]] = ([], [])
    with progress(place, rounds) as show:
        for number in range(-WARM_UP_ROUNDS, rounds):
            for url, of_url in zip(urls, times, strict=True):
                taken_s = await _first_chunk_s(session, url, f"Question {number}")
                if number >= 0:
                    of_url.append(taken_s)
            show(max(0, number + 1))
    return Result(place, *times)


async def _first_chunk_s(session: aiohttp.ClientSession, url: str, text: str) -> float:
    """Ask, and give the seconds to the first event; returns when all have come."""
    clock = SystemClock()
    body = {"model": "sim-1", "messages": [{"role": "user", "content": text}], "stream": True}
    began = clock.monotonic()
    async with session.post(f"{url}/chat/completions", json=body) as response:
        first = await response.content.readuntil(b"\n\n")
        taken_s = clock.monotonic() - began
        rest = await response.content.read()
    assert first.startswith(b'data: {"id"'), first
    assert rest.endswith(b"data: [DONE]\n\n"), rest
    return taken_s


def _milliseconds(seconds: float) -> str:
    return f"{1_000 * seconds:.1f} ms"


if __name__ == "__main__":
    run(main, _arguments())
