"""How much of a provider's limit is used, and how many calls are refused: Forebay beside LiteLLM's Router.

    python benchmarks/limit_use.py [--workers 4] [--jobs 6000] [--rpm 6000] [--tpm 600000] [--real-rpm N] [--no-headers]

Real parts on this machine: a RabbitMQ, an embedded Valkey, an API and worker processes, and the
simulated provider as a process of its own, whose limits are its own code. ``--real-rpm`` gives the provider another limit
than the configured one; ``--output-tokens 400`` makes the tokens the limit that binds.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from forebay.client import AsyncClient  # noqa: E402 - found by the line above
from shared.adapters.embedded.valkey import EmbeddedValkey  # noqa: E402 - as above
from shared.domain.clock import SystemClock  # noqa: E402 - as above
from tests.e2e.processes import ADMIN_KEY, chat_line, forebay, write_config  # noqa: E402 - as above
from tests.servers.provider import SimulatedProvider, simulated_provider  # noqa: E402 - as above
from tests.servers.rabbitmq import own_rabbitmq  # noqa: E402 - as above

WARM_UP_S: Final = 3.0
SAMPLE_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Sample:
    """What the provider had counted, ``at`` seconds after the first call."""

    at: float
    served: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Result:
    """One row. Shares are of the provider's real limit, whichever of its two binds."""

    name: str
    served: int
    refused: int
    wall_s: float
    ideal_s: float
    share_after_warm_up: float


async def main() -> None:
    """Measure both and print the table."""
    arguments = _arguments()
    clock = SystemClock()
    rows = [await _measure("Forebay", arguments, clock)]
    if arguments.peer:
        rows.append(await _measure("LiteLLM Router", arguments, clock))
    table = Table("", "served", "429s", "wall s", "ideal s", "share of the limit after 3 s")
    for row in rows:
        shown = (row.served, row.refused, f"{row.wall_s:.1f}", f"{row.ideal_s:.1f}", f"{row.share_after_warm_up:.1%}")
        table.add_row(row.name, *map(str, shown))
    Console().print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=6_000)
    parser.add_argument("--rpm", type=int, default=6_000)
    parser.add_argument("--tpm", type=int, default=600_000)
    parser.add_argument("--real-rpm", type=int, default=None)
    parser.add_argument("--latency", type=float, nargs=2, default=(0.3, 0.7))
    parser.add_argument("--output-tokens", type=int, default=60)
    parser.add_argument("--no-headers", dest="headers", action="store_false")
    parser.add_argument("--no-peer", dest="peer", action="store_false")
    parser.add_argument("--peer-concurrency", type=int, default=64)
    return parser.parse_args()


async def _measure(name: str, arguments: argparse.Namespace, clock: SystemClock) -> Result:
    options = {
        "rpm": arguments.real_rpm or arguments.rpm,
        "tpm": arguments.tpm,
        "latency_s": tuple(arguments.latency),
        "output_tokens": (1, arguments.output_tokens),
        "rate_limit_headers": arguments.headers,
    }
    run = _forebay if name == "Forebay" else _peer
    async with simulated_provider(**options) as provider:
        working = asyncio.create_task(run(provider, arguments))
        samples = await _watch(name, provider, arguments.jobs, working, clock)
        await working
        total = await provider.total()
    return _result(name, samples, total, arguments)


async def _watch(
    name: str, provider: SimulatedProvider, jobs: int, working: asyncio.Task[None], clock: SystemClock
) -> list[Sample]:
    samples: list[Sample] = []
    started = 0.0
    with Progress() as progress:
        bar = progress.add_task(name, total=jobs)
        while not working.done():
            total = await provider.total()
            if total["served"] or total["in_flight"]:
                started = started or clock.monotonic()
                samples.append(Sample(clock.monotonic() - started, total["served"], _tokens(total)))
            progress.update(bar, completed=total["served"])
            await clock.sleep(SAMPLE_S)
    return samples


def _tokens(total: dict[str, int]) -> int:
    return sum(count for name, count in total.items() if name in {"input_tokens", "output_tokens"})


def _result(name: str, samples: list[Sample], total: dict[str, int], arguments: argparse.Namespace) -> Result:
    requests_per_s, tokens_per_s = (arguments.real_rpm or arguments.rpm) / 60, arguments.tpm / 60
    end = next(sample for sample in samples if sample.served >= 0.97 * total["served"])
    begin = next(sample for sample in samples if sample.at >= WARM_UP_S)
    seconds = max(end.at - begin.at, SAMPLE_S)
    by_requests = (end.served - begin.served) / (requests_per_s * seconds)
    by_tokens = (end.tokens - begin.tokens) / (tokens_per_s * seconds)
    return Result(
        name,
        total["served"],
        total["refused_429"],
        next(sample.at for sample in samples if sample.served == total["served"]),
        max(total["served"] / requests_per_s, _tokens(total) / tokens_per_s),
        max(by_requests, by_tokens),
    )


async def _forebay(provider: SimulatedProvider, arguments: argparse.Namespace) -> None:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = EmbeddedValkey(folder / "store")
        rabbitmq = await asyncio.to_thread(stack.enter_context, own_rabbitmq())
        settings = {
            "FOREBAY_REDIS_URL": await store.start(),
            "FOREBAY_AMQP_URL": rabbitmq.url,
            "FOREBAY_ADMIN_KEY": ADMIN_KEY,
        }
        stack.push_async_callback(store.stop)
        config = write_config(folder, provider.url, rpm=arguments.rpm, tpm=arguments.tpm)
        config.write_text(config.read_text().replace("concurrency: 16", "concurrency: 128"))
        roles = [("api", "--port", "0"), *[("worker",)] * arguments.workers]
        running = [
            await stack.enter_async_context(forebay(*role, "--config", str(config), settings=settings))
            for role in roles
        ]
        client = await stack.enter_async_context(AsyncClient(running[0].ready["name"], ADMIN_KEY))
        receipt = await client.submit_bulk(_lines(arguments.jobs), "benchmark")
        async for _ in client.follow_batch(receipt["batch_id"]):
            pass


async def _lines(jobs: int) -> AsyncIterator[bytes]:
    for number in range(jobs):
        yield chat_line(_question(number))


async def _peer(provider: SimulatedProvider, arguments: argparse.Namespace) -> None:
    plan = {
        "url": provider.url,
        "rpm": arguments.rpm,
        "tpm": arguments.tpm,
        "concurrency": arguments.peer_concurrency,
        "questions": [_question(number) for number in range(arguments.jobs)],
    }
    script = ROOT / "benchmarks" / "peers" / "litellm_router.py"
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), stdin=asyncio.subprocess.PIPE, stdout=sys.stderr
    )
    await process.communicate(json.dumps(plan).encode())


def _question(number: int) -> str:
    return f"Question {number}: " + "what of it? " * (number % 40)


if __name__ == "__main__":
    asyncio.run(main())
