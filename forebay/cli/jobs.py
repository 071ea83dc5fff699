"""``forebay jobs``: list jobs."""

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from forebay.cli.command import Command
from forebay.cli.options import AsJson, JobPriority
from forebay.cli.paging import first_of
from forebay.cli.screen import say, show_json, show_table, stdout
from forebay.cli.server import talk

if TYPE_CHECKING:
    from forebay.client import AsyncClient

_CREATED: Final = "created (UTC)"
_COLUMNS: Final = ("id", "status", "priority", "model", _CREATED, "tries", "cache", "cost USD", "error")
Status = Literal["scheduled", "queued", "running", "succeeded", "failed", "cancelled", "expired"]

_LARGEST_PAGE: Final = 100


def jobs(
    *,
    status: Annotated[Status | None, typer.Option("--status", help="Only jobs in this state.")] = None,
    priority: JobPriority = None,
    batch: Annotated[str | None, typer.Option("--batch", metavar="ID", help="Only jobs of this batch.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    from forebay.client import JobQuery

    query = JobQuery(status, priority, batch)

    async def fetch(client: "AsyncClient") -> list[dict[str, Any]]:
        return await first_of(client.jobs(query, page=min(limit, _LARGEST_PAGE)), limit)

    found = talk(fetch)
    if as_json:
        show_json({"object": "list", "data": found})
    elif not found:
        say("There are no such jobs." if query.parameters() else "There are no jobs.")
    else:
        show_table("", _COLUMNS, [_row(job) for job in found], stdout(), whole=(_CREATED,))


def _row(job: dict[str, Any]) -> tuple[str, ...]:
    cells = (
        job["id"],
        job["status"],
        job["priority"],
        job["model"],
        job["created_at"][:19].replace("T", " "),
        len(job.get("attempts") or ()),
        job.get("cache"),
        job.get("cost_usd"),
        (job.get("error") or {}).get("code"),
    )
    return tuple("" if cell is None else str(cell) for cell in cells)


JOBS: Final = Command("jobs", jobs, ("forebay jobs --status failed --limit 50", "forebay jobs --batch batch_… --json"))
