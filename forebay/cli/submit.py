"""``forebay submit``: a file of requests becomes a batch."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from forebay.cli.batch_lines import BadLine, JobOptions
from forebay.cli.command import Command
from forebay.cli.options import AsJson, JobPriority, OutFile
from forebay.cli.progress import meter
from forebay.cli.screen import say, show_json, show_table, stderr
from forebay.cli.server import talk
from forebay.cli.watch import goes_on

if TYPE_CHECKING:
    from forebay.cli.submission import Submission
    from forebay.client import AsyncClient

_MOST_BAD_LINES_SHOWN: Final = 50


def submit(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Requests in the OpenAI Batch format; `-`: stdin.")],
    *,
    priority: JobPriority = None,
    within: Annotated[
        str | None,
        typer.Option(
            "--within", metavar="DURATION", help="Finish within this time (90s, 30m, 24h, 7d); else it expires."
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
    from forebay.cli.following import follow_batch, save_batch
    from forebay.cli.submission import fresh_key, idempotency_key, submit_file

    options = JobOptions(priority, within)
    batch_ids: list[str] = []

    async def send(client: "AsyncClient", path: Path) -> tuple["Submission", dict[str, Any]]:
        key = fresh_key() if again else idempotency_key(path, options)
        with meter("submitting", stderr()) as shown:
            submission = await submit_file(client, path, options, key, shown)
        batch_ids.append(submission.batch_id)
        say(f"{submission.batch_id}: {submission.accepted:,} accepted, {len(submission.bad):,} rejected")
        _show_bad(submission.bad)
        if not (watch or out):
            return submission, await client.batch(submission.batch_id)
        batch = await follow_batch(client, submission.batch_id)
        if out is not None:
            await save_batch(client, submission.batch_id, out, submission.bad)
        return submission, batch

    with _on_disk(file) as path:
        submission, batch = talk(
            lambda client: send(client, path), lambda: goes_on(batch_ids[0]) if batch_ids else _CUT_OFF
        )
    if as_json:
        show_json(batch | {"rejected": submission.bad})
    elif watch or out:
        typer.echo(f"{batch['id']} is {batch['status']}")
    else:
        typer.echo(f"Follow it with: forebay watch {batch['id']}")
    if submission.bad or batch["request_counts"]["failed"]:
        raise typer.Exit(1)


_CUT_OFF: Final = "\nWhat was accepted goes on. Run the same command again to submit the rest."


@contextmanager
def _on_disk(file: Path) -> Iterator[Path]:
    if str(file) == "-":
        with tempfile.NamedTemporaryFile(prefix="forebay-", suffix=".jsonl") as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
            copy.flush()
            yield Path(copy.name)
        return
    if not file.is_file():
        raise typer.BadParameter(f"there is no file {file}", param_hint="FILE")
    yield file


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
