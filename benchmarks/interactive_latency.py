"""How long interactive jobs wait, alone and while bulk work saturates the provider's limit.

    python benchmarks/interactive_latency.py [--seconds 20] [--per-second 5] [--bulk 4000] [--rpm 6000]

Runs ``forebay up`` on the embedded stack and the simulated provider, each a process of its own. The wait is from a
job's creation to the start of its provider call, as the job itself tells.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from forebay.client import AsyncClient  # noqa: E402 - found by the line above
from shared.domain.clock import SystemClock  # noqa: E402 - as above
from tests.e2e.processes import ADMIN_KEY, chat_line, forebay, up, write_config  # noqa: E402 - as above
from tests.servers.provider import simulated_provider  # noqa: E402 - as above


async def main() -> None:
    """Measure both and print the table."""
    arguments = _arguments()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        provider = await stack.enter_async_context(simulated_provider(rpm=arguments.rpm, latency_s=(0.3, 0.7)))
        config = write_config(folder, provider.url, rpm=arguments.rpm)
        config.write_text(config.read_text().replace("concurrency: 16", "concurrency: 128"))
        process = await stack.enter_async_context(
            forebay(*up(config, folder), settings={"FOREBAY_ADMIN_KEY": ADMIN_KEY})
        )
        client = await stack.enter_async_context(AsyncClient(process.ready["url"], ADMIN_KEY))
        alone = await _waits(client, arguments, "alone")
        receipt = await client.submit_bulk(_bulk(arguments.bulk), "bulk")
        beside = await _waits(client, arguments, "beside")
        bulk_done = (await client.batch(receipt["batch_id"]))["request_counts"]["completed"]
        refused = (await provider.total())["refused_429"]
    table = Table("interactive jobs", "p50 ms", "p95 ms", "most ms")
    for name, waits in (("alone", alone), (f"while bulk saturates ({bulk_done} answered meanwhile)", beside)):
        quantiles = statistics.quantiles(waits, n=20)
        table.add_row(name, *(f"{1_000 * wait:.0f}" for wait in (quantiles[9], quantiles[18], max(waits))))
    Console().print(table)
    Console().print(f"429s: {refused}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--per-second", type=float, default=5)
    parser.add_argument("--bulk", type=int, default=4_000)
    parser.add_argument("--rpm", type=int, default=6_000)
    return parser.parse_args()


async def _waits(client: AsyncClient, arguments: argparse.Namespace, name: str) -> list[float]:
    """Submit interactive jobs at an even rate; give the seconds that each waited."""
    asked: list[asyncio.Task[dict[str, Any]]] = []
    for number in range(round(arguments.seconds * arguments.per_second)):
        asked.append(asyncio.create_task(_ask(client, f"{name} {number}")))
        await SystemClock().sleep(1 / arguments.per_second)
    return [_waited(job) for job in await asyncio.gather(*asked)]


async def _ask(client: AsyncClient, text: str) -> dict[str, Any]:
    request = {"model": "sim", "messages": [{"role": "user", "content": text}]}
    job = await client.submit({"request": request, "priority": "interactive"})
    return await client.wait_for_job(job["id"])


def _waited(job: dict[str, Any]) -> float:
    created, began = (datetime.fromisoformat(text) for text in (job["created_at"], job["attempts"][0]["started"]))
    return (began - created).total_seconds()


async def _bulk(jobs: int) -> AsyncIterator[bytes]:
    for number in range(jobs):
        yield chat_line(f"Bulk {number}", priority="bulk")


if __name__ == "__main__":
    asyncio.run(main())
