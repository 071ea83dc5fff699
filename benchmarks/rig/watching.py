"""Looking at a provider's counts while work goes on."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from shared.domain.clock import SystemClock
from tests.servers.provider import SimulatedProvider

SAMPLE_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Sample:
    """What a provider had counted ``at`` seconds after its first call. tokens: of the calls it admitted."""

    at: float
    served: int
    tokens: int


@contextmanager
def progress(name: str, total: float) -> Iterator[Callable[[float], None]]:
    """Show a progress bar on stderr; give what tells it how far things are."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as shown:
        bar = shown.add_task(name, total=total)
        yield lambda done: shown.update(bar, completed=done)


async def watch(name: str, provider: SimulatedProvider, jobs: int, working: asyncio.Task[None]) -> list[Sample]:
    """Look at the provider's counts until ``working`` is done, with a progress bar; raises what that raised."""
    clock, samples, started = SystemClock(), list[Sample](), 0.0
    with progress(name, jobs) as show:
        while not working.done():
            total = await provider.total()
            if total["served"] or total["in_flight"]:
                started = started or clock.monotonic()
                tokens = total["input_tokens"] + total["output_tokens"]
                samples.append(Sample(clock.monotonic() - started, total["served"], tokens))
            show(total["served"])
            await asyncio.wait([working], timeout=SAMPLE_S)
    await working
    return samples


def seconds_until(samples: Sequence[Sample], per_second: float, over_s: float = 3.0) -> float | None:
    """Give the moment from which on, for ``over_s`` seconds, that many calls a second were served; None: never."""
    for first in samples:
        last = next((sample for sample in samples if sample.at >= first.at + over_s), None)
        if last is not None and last.served - first.served >= per_second * (last.at - first.at):
            return first.at
    return None
