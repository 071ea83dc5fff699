"""Progress on the screen: a bar where there is a terminal, a line every tenth of the way where there is none."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

_STEPS: Final = 10


class Meter(Protocol):
    """Shows how far something has come."""

    def show(self, done: int, total: int, note: str = "") -> None:
        """Show ``done`` of ``total`` (bytes, requests, whatever), and a note in words."""
        ...


class LineMeter:
    """Writes a line at the beginning, at every further tenth and when the whole is done."""

    def __init__(self, label: str, console: "Console") -> None:
        """``label`` begins every line."""
        self._label = label
        self._console = console
        self._last_step = -1

    def show(self, done: int, total: int, note: str = "") -> None:
        """Write a line, unless the last one was of the same tenth."""
        step = _STEPS * done // total if total else 0
        if step > self._last_step:
            self._last_step = step
            share = f"{100 * done // total if total else 0:3d} %"
            self._console.print(f"{self._label}  {share}  {note}".rstrip(), markup=False, highlight=False)


class _Bar:
    def __init__(self, progress: "Progress", task: "TaskID") -> None:
        self._progress = progress
        self._task = task

    def show(self, done: int, total: int, note: str = "") -> None:
        self._progress.update(self._task, completed=done, total=total or None, note=note)


@contextmanager
def meter(label: str, console: "Console") -> Iterator[Meter]:
    """Show a meter for as long as the block runs."""
    if not console.is_terminal:
        yield LineMeter(label, console)
        return
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("[dim]left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bar(progress, progress.add_task(label, total=None, note=""))
