"""Where the commands write: data to stdout, everything said about it to stderr."""

import os
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_WIDE: Final = 140


def say(text: str) -> None:
    """Say something about what is going on."""
    typer.echo(text, err=True)


def say_error(message: str) -> None:
    """Say what went wrong and what to do, as one line."""
    typer.echo(f"error: {' '.join(message.split())}", err=True)


def show_json(document: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Write a document for programs: one line of JSON."""
    import orjson

    typer.echo(orjson.dumps(document, default=_plain).decode())


def show_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], console: "Console", *, whole: Sequence[str] = ()
) -> None:
    """Draw a table; ``whole``: as of ``make_table``."""
    console.print(make_table(title, columns, rows, whole=whole))


def make_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, whole: Sequence[str] = ()
) -> "Table":
    """Give a table, the first column and those in ``whole`` always in full. Nothing in a cell is taken as markup."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, show_header=any(columns), pad_edge=False)
    for position, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=position == 0 or column in whole)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def stdout() -> "Console":
    """Give the console for data: as wide as the terminal or ``COLUMNS``, or wide enough for programs that read tables."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal or os.environ.get("COLUMNS", "").isdecimal() else Console(width=_WIDE)


def stderr() -> "Console":
    """Give the console for everything else."""
    from rich.console import Console

    return Console(stderr=True)


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(type(value).__name__)
