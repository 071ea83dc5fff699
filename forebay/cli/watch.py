"""``forebay watch``: follow a batch or a job."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from forebay.cli.command import Command
from forebay.cli.options import AsJson, OutFile
from forebay.cli.screen import show_json
from forebay.cli.server import talk

if TYPE_CHECKING:
    from forebay.client import AsyncClient


def watch(
    watched_id: Annotated[str, typer.Argument(metavar="ID", help="A batch's id (batch_…) or a job's (job_…).")],
    *,
    out: OutFile = None,
    as_json: AsJson = False,
) -> None:
    """Follow a batch or a job until it is finished.

    Exit status 1 if anything in it failed.
    """
    from forebay.cli.following import follow_batch, follow_job, save_batch

    async def follow(client: "AsyncClient") -> dict[str, Any]:
        if watched_id.startswith("job_"):
            return await follow_job(client, watched_id, out)
        batch = await follow_batch(client, watched_id)
        if out is not None:
            await save_batch(client, watched_id, out)
        return batch

    found = talk(follow, lambda: goes_on(watched_id))
    if as_json:
        show_json(found)
    else:
        typer.echo(f"{found['id']} is {found['status']}")
    if found["status"] not in {"succeeded", "completed"} or found.get("request_counts", {}).get("failed"):
        raise typer.Exit(1)


def goes_on(watched_id: str) -> str:
    """Give what to say to somebody who stops watching."""
    return f"\n{watched_id} goes on without you. Rejoin with: forebay watch {watched_id}"


WATCH: Final = Command("watch", watch, ("forebay watch batch_01k9b6x0v5e8m3t2r7q4w1y9za --out answers.jsonl",))
