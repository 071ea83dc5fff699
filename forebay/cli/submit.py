"""``forebay submit``: a file of requests becomes a batch."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final

import typer

from forebay.cli.batch_lines import BadLine, JobOptions
from forebay.cli.command import Command
from forebay.cli.options import AsJson, JobPriority, OutFile
from forebay.cli.progress import meter
from forebay.cli.screen import say, show_json, show_table, stderr
from forebay.cli.server import talk
from forebay.cli.watch import goes_on

if TYPE_CHECKING:
    from forebay.client import AsyncClient

_MOST_BAD_LINES_SHOWN: Final = 20


def _duration(within: str | None) -> str | None:
    """Refuse it once, before the server refuses it in every line."""
    from shared.domain.durations import parse_duration

    if within is not None:
        try:
            parse_duration(within)
        except ValueError as error:
            raise typer.BadParameter(f"{error}; found {within!r}") from None
    return within


def submit(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Requests in the OpenAI Batch format; `-`: stdin.")],
    *,
    priority: JobPriority = None,
    within: Annotated[
        str | None,
        typer.Option(
            "--within",
            metavar="DURATION",
            callback=_duration,
            help="Finish within this time (90s, 30m, 24h, 7d); else it expires.",
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show progress until all is finished.")] = False,
    out: OutFile = None,
    again: Annotated[
        bool, typer.Option("--again", help="Run the whole anew, even if this file was submitted.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Submit a file as a batch.

    Submitting the same file again, with the same priority and duration, continues a submission that was
    cut off, or finds the first one's batch. Bad lines are reported, and the good ones beside them go on.
    """
    if out is not None and out.exists() and file.exists() and out.samefile(file):
        raise typer.BadParameter(f"the answers would overwrite the requests in {file}", param_hint="--out")
    with _on_disk(file) as path:
        run = _Run(path, JobOptions(priority, within), fresh=again)
        batch = talk(lambda client: run.go(client, follow=watch, out=out), run.what_goes_on)
    if as_json:
        show_json({"batch": batch, "rejected": run.bad})
    elif batch is not None and (watch or out):
        typer.echo(f"{batch['id']} is {batch['status']}")
    elif batch is not None:
        typer.echo(f"Follow it with: forebay watch {batch['id']}")
    if run.bad or batch is None or batch["request_counts"]["failed"]:
        raise typer.Exit(1)


class _Run:
    """One submission, and how far it has come."""

    def __init__(self, path: Path, options: JobOptions, *, fresh: bool) -> None:
        self.bad: tuple[BadLine, ...] = ()
        self._path = path
        self._options = options
        self._fresh = fresh
        self._batch_id: str | None = None

    async def go(self, client: "AsyncClient", *, follow: bool, out: Path | None) -> dict[str, Any] | None:
        """Submit, follow and save, as far as wanted; give the batch, None if it has not one good line."""
        from forebay.cli.following import follow_batch, save_batch, save_rejections

        self._batch_id = await self._submit(client)
        if self._batch_id is None:
            if out is not None:
                await save_rejections(out, self.bad)
            return None
        if not follow and out is None:
            return await client.batch(self._batch_id)
        batch = await follow_batch(client, self._batch_id)
        if out is not None:
            await save_batch(client, self._batch_id, out, self.bad)
        return batch

    def what_goes_on(self) -> str:
        """Give what to say to somebody who ends it early."""
        if self._batch_id is not None:
            return goes_on(self._batch_id)
        return "\nWhat was accepted goes on. Run the same command again to submit the rest."

    async def _submit(self, client: "AsyncClient") -> str | None:
        from forebay.cli.submission import fresh_key, idempotency_key, submit_file
        from shared.domain.clock import SystemClock

        key = fresh_key() if self._fresh else idempotency_key(self._path, self._options)
        with meter("submitting", stderr()) as shown:
            submission = await submit_file(client, self._path, self._options, key, shown, SystemClock())
        self.bad = submission.bad
        say(f"{submission.batch_id or 'no batch'}: {submission.accepted:,} accepted, {len(self.bad):,} rejected")
        _show_bad(self.bad)
        return submission.batch_id


@contextmanager
def _on_disk(file: Path) -> Iterator[Path]:
    if file.is_file():
        yield file
        return
    with tempfile.NamedTemporaryFile(prefix="forebay-", suffix=".jsonl") as copy:
        with _stream(file) as stream:
            shutil.copyfileobj(stream, copy)
        copy.flush()
        yield Path(copy.name)


def _stream(file: Path) -> BinaryIO:
    if str(file) == "-":
        return sys.stdin.buffer
    if file.is_dir():
        raise typer.BadParameter(f"{file} is a directory; name a file in it", param_hint="FILE")
    if not file.exists():
        raise typer.BadParameter(f"there is no file {file}", param_hint="FILE")
    return file.open("rb")


def _show_bad(bad: Sequence[BadLine]) -> None:
    if not bad:
        return
    shown = bad[:_MOST_BAD_LINES_SHOWN]
    rows = [(str(line.number), line.custom_id or "", line.code, line.message) for line in shown]
    show_table("Rejected lines", ("line", "custom_id", "code", "what is wrong"), rows, stderr())
    if len(bad) > len(shown):
        say(f"… and {len(bad) - len(shown):,} more")


SUBMIT: Final = Command(
    "submit",
    submit,
    (
        "forebay submit requests.jsonl --priority bulk --out answers.jsonl",
        "forebay submit requests.jsonl --priority deferrable --within 24h --watch",
    ),
)
