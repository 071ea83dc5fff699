"""How much of a provider's limit is used, and how many calls are refused: Forebay beside LiteLLM's Router.

    python benchmarks/limit_use.py [--case all|requests|tokens|no-headers|half|unknown] [--scale 1.0] [--check]

Real parts on this machine: a RabbitMQ, a Valkey that flushes every write, an API and worker processes, and the simulated
provider as a process of its own, whose limits are its own code. The cases:

    requests    6,000 jobs of uneven sizes within 6,000 requests and 600,000 tokens a minute; beside it LiteLLM's Router
    tokens      1,500 jobs of uneven sizes, so large that the tokens bind
    no-headers  as requests; the provider tells nothing of its limits
    half        the provider's real limit is half of the configured one, and it tells nothing
    unknown     no limit is configured, and the provider tells nothing

All take about seven minutes; ``--scale 0.2`` makes a fifth of the jobs.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from benchmarks.rig.command import CONSOLE, Bound, parser, run
from benchmarks.rig.servers import on_rabbitmq
from benchmarks.rig.watching import Sample, seconds_until, watch
from tests.e2e.configs import model
from tests.e2e.load import all_answered, job, upload
from tests.servers.provider import SimulatedProvider, simulated_provider

WARM_UP_S: Final = 3.0
RAMP_DOWN: Final = 0.97
"""The share of the jobs after which the last ones trickle in, and the limit is wanted no more."""

FOUND_WITHIN_S: Final = 60.0
"""Seconds within which an unknown limit must be found."""

PEER: Final = Path(__file__).with_name("peers") / "litellm_router.py"


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked of whom, and what must come of it.

    rpm, tpm: the provider's own; configured: what Forebay is told of them. most_refused: the share of 429s that is borne;
    None: any.
    """

    name: str
    jobs: int
    rpm: int = 6_000
    tpm: int = 600_000
    output_tokens: int = 60
    headers: bool = True
    configured: tuple[int | None, int | None] = (6_000, 600_000)
    least_share: float = 0.97
    most_refused: float | None = 0.0


CASES: Final = (
    Case("requests", 6_000),
    Case("tokens", 1_500, output_tokens=400),
    Case("no-headers", 6_000, headers=False),
    Case("half", 3_000, rpm=3_000, headers=False, least_share=0.9, most_refused=0.01),
    Case("unknown", 6_000, headers=False, configured=(None, None), most_refused=None),
)


@dataclass(frozen=True, slots=True)
class Result:
    """One row. Shares are of the provider's real limit, whichever of its two binds."""

    case: Case
    who: str
    total: dict[str, int]
    wall_s: float
    ideal_s: float
    share: float
    found_after_s: float | None

    @property
    def refused_share(self) -> float:
        """The share of all calls that were refused."""
        return self.total["refused_429"] / max(1, self.total["served"] + self.total["refused_429"])


async def main(arguments: argparse.Namespace) -> list[Bound]:
    """Measure and print the table."""
    results: list[Result] = []
    for case in CASES:
        if arguments.case in {"all", case.name}:
            scaled = replace(case, jobs=round(case.jobs * arguments.scale))
            results.append(await _measure("Forebay", scaled, arguments.workers))
            if case.name == "requests" and arguments.peer:
                results.append(await _measure("LiteLLM Router", scaled, arguments.peer_concurrency))
    _show(results)
    return [bound for result in results if result.who == "Forebay" for bound in _bounds(result)]


def _arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--case", choices=["all", *(case.name for case in CASES)], default="all")
    made.add_argument("--scale", type=float, default=1.0, help="share of the jobs")
    made.add_argument("--workers", type=int, default=4)
    made.add_argument("--no-peer", dest="peer", action="store_false", help="leave LiteLLM's Router out")
    made.add_argument("--peer-concurrency", type=int, default=64, help="calls at a time of LiteLLM's Router")
    return made.parse_args()


async def _measure(who: str, case: Case, width: int) -> Result:
    options: dict[str, Any] = {
        "rpm": case.rpm,
        "tpm": case.tpm,
        "latency_s": (0.3, 0.7),
        "output_tokens": (1, case.output_tokens),
        "rate_limit_headers": case.headers,
    }
    work = _forebay if who == "Forebay" else _peer
    async with simulated_provider(**options) as provider:
        working = asyncio.create_task(work(provider, case, width))
        samples = await watch(f"{who}, {case.name}", provider, case.jobs, working)
        return _result(who, case, samples, await provider.total())


def _result(who: str, case: Case, samples: Sequence[Sample], total: dict[str, int]) -> Result:
    requests_per_s, tokens_per_s = case.rpm / 60, case.tpm / 60
    begin = next(sample for sample in samples if sample.at >= WARM_UP_S)
    end = next(sample for sample in samples if sample.served >= RAMP_DOWN * total["served"] and sample.at > begin.at)
    seconds, tokens = end.at - begin.at, total["input_tokens"] + total["output_tokens"]
    return Result(
        case,
        who,
        total,
        wall_s=next(sample.at for sample in samples if sample.served == samples[-1].served),
        ideal_s=max(total["served"] / requests_per_s, tokens / tokens_per_s),
        share=max(
            (end.served - begin.served) / (requests_per_s * seconds),
            (end.tokens - begin.tokens) / (tokens_per_s * seconds),
        ),
        found_after_s=seconds_until(samples, 0.9 * requests_per_s),
    )


def _show(results: Sequence[Result]) -> None:
    heads = (
        "case",
        "",
        "served",
        "429s",
        "wall s",
        "ideal s",
        "share after 3 s",
        "90 % of the requests after s",
        "most in a minute",
    )
    table = Table(*heads)
    for result in results:
        table.add_row(
            result.case.name,
            result.who,
            str(result.total["served"]),
            f"{result.total['refused_429']} ({result.refused_share:.2%})",
            f"{result.wall_s:.1f}",
            f"{result.ideal_s:.1f}",
            f"{result.share:.1%}",
            "" if result.found_after_s is None else f"{result.found_after_s:.1f}",
            f"{result.total['most_requests_in_a_minute']} of {result.case.rpm}",
        )
    CONSOLE.print(table)


def _bounds(result: Result) -> list[Bound]:
    case, found = result.case, result.found_after_s
    if case.name == "unknown":
        is_soon = found is not None and found <= FOUND_WITHIN_S
        return [Bound(f"unknown: 90 % of the limit are used within {FOUND_WITHIN_S:.0f} s", f"{found} s", is_soon)]
    used = Bound(
        f"{case.name}: at least {case.least_share:.0%} of the limit",
        f"{result.share:.1%}",
        result.share >= case.least_share,
    )
    claim = f"fewer than {case.most_refused:.0%} of the calls are 429s" if case.most_refused else "no 429"
    refused = result.total["refused_429"]
    is_little = result.refused_share < case.most_refused if case.most_refused else refused == 0
    return [used, Bound(f"{case.name}: {claim}", f"{refused} ({result.refused_share:.2%})", is_little)]


async def _forebay(provider: SimulatedProvider, case: Case, workers: int) -> None:
    rpm, tpm = case.configured
    limits = {name: limit for name, limit in (("rpm", rpm), ("tpm", tpm)) if limit is not None}
    async with on_rabbitmq(model("sim", provider.url, **limits), workers=workers) as installation:
        client = installation.client
        batch = await upload(client, (job("sim", question) for question in _questions(case)))
        await all_answered(client, batch, within_s=900)


async def _peer(provider: SimulatedProvider, case: Case, concurrency: int) -> None:
    plan = {
        "url": provider.url,
        "rpm": case.rpm,
        "tpm": case.tpm,
        "concurrency": concurrency,
        "questions": _questions(case),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PEER), stdin=asyncio.subprocess.PIPE, stdout=sys.stderr
    )
    await process.communicate(json.dumps(plan).encode())


def _questions(case: Case) -> list[str]:
    return [f"Question {number}: " + "what of it? " * (number % 40) for number in range(case.jobs)]


if __name__ == "__main__":
    run(main, _arguments())
