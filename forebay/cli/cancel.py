"""``forebay cancel``: cancel a job."""

from typing import Annotated, Final

import typer

from forebay.cli.command import Command
from forebay.cli.options import AsJson
from forebay.cli.screen import show_json
from forebay.cli.server import talk


def cancel(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="The job's id (job_…).")],
    *,
    as_json: AsJson = False,
) -> None:
    """Cancel a job.

    Queued, it never runs; running, its call is ended and its result dropped.
    """
    if job_id.startswith("batch_"):
        raise typer.BadParameter(
            "only jobs can be cancelled; `forebay jobs --batch ID` lists a batch's", param_hint="ID"
        )
    job = talk(lambda client: client.cancel(job_id))
    if as_json:
        show_json(job)
    else:
        typer.echo(f"{job['id']} is {job['status']}")


CANCEL: Final = Command("cancel", cancel, ("forebay cancel job_01k9b6x0v5e8m3t2r7q4w1y9za",))
