"""Where the commands write: data to stdout, everything said about it to stderr."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console


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


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], console: "Console") -> None:
    """Draw a table. Nothing in a cell is taken as markup."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def stdout() -> "Console":
    """Give the console for data."""
    from rich.console import Console

    return Console()


def stderr() -> "Console":
    """Give the console for everything else."""
    from rich.console import Console

    return Console(stderr=True)


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(type(value).__name__)
