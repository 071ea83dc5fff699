"""A benchmark as a command: what it was told, the bounds it holds its figures to, and its exit status."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.table import Table

CONSOLE: Final = Console(width=None if sys.stdout.isatty() else 140)
"""Where results go; wide enough for every table where they go to a file."""


@dataclass(frozen=True, slots=True)
class Bound:
    """One thing that a figure must fulfil. claim: in words; measured: the figure; holds: whether it does."""

    claim: str
    measured: str
    holds: bool


def parser(documentation: str | None) -> argparse.ArgumentParser:
    """Give the parser of a benchmark whose module has this documentation."""
    made = argparse.ArgumentParser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--check", action="store_true", help="exit with status 1 if a bound is broken")
    return made


def run(measure: Callable[[argparse.Namespace], Awaitable[Sequence[Bound]]], arguments: argparse.Namespace) -> None:
    """Measure, show the bounds, and end the process; status 1 for a broken bound is given only with ``--check``."""
    bounds = asyncio.run(measure(arguments))
    table = Table("bound", "measured", "holds")
    for bound in bounds:
        table.add_row(bound.claim, bound.measured, "yes" if bound.holds else "[bold red]NO")
    CONSOLE.print(table)
    sys.exit(int(arguments.check and not all(bound.holds for bound in bounds)))


def p95(values: Sequence[float]) -> float:
    """Give the value that 95 % of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * 95 // 100) - 1)]


def milliseconds(seconds: float) -> str:
    """Write seconds as whole milliseconds."""
    return f"{1_000 * seconds:.0f} ms"
