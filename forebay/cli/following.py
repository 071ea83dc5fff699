"""Following a batch or a job until it is finished."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from forebay.cli.answers import write_answers
from forebay.cli.batch_lines import BadLine
from forebay.cli.progress import meter
from forebay.cli.screen import say, stderr

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from forebay.client import AsyncClient


async def follow_batch(client: "AsyncClient", batch_id: str) -> dict[str, Any]:
    """Show a batch's progress until it is finished; give it as it is then."""
    batch: dict[str, Any] = {}
    with meter("answering", stderr()) as shown:
        async for batch in client.follow_batch(batch_id):
            counts = batch["request_counts"]
            done = counts["completed"] + counts["failed"]
            failed = f", {counts['failed']:,} failed" if counts["failed"] else ""
            shown.show(done, counts["total"], f"{done:,} of {counts['total']:,}{failed}")
    return batch


async def save_batch(client: "AsyncClient", batch_id: str, out: Path, bad: "Sequence[BadLine]" = ()) -> None:
    """Write the answers of a finished batch."""
    from forebay.client import JobQuery

    lines = await write_answers(client.jobs(JobQuery(batch=batch_id)), out, bad)
    say(f"{lines:,} lines written to {out}")


async def save_rejections(out: Path, bad: "Sequence[BadLine]") -> None:
    """Write the errors of a file that has not one good line."""
    lines = await write_answers(_each(()), out, bad)
    say(f"{lines:,} lines written to {out}")


async def follow_job(client: "AsyncClient", job_id: str, out: Path | None) -> dict[str, Any]:
    """Wait for a job, write its answer if ``out`` says where, give the job."""
    job = await client.wait_for_job(job_id)
    if out is not None:
        await write_answers(_each((job,)), out)
        say(f"1 line written to {out}")
    return job


async def _each(jobs: "Sequence[dict[str, Any]]") -> "AsyncIterator[dict[str, Any]]":
    for job in jobs:
        yield job
