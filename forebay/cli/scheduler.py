"""``forebay scheduler``: the duties that come round."""

from typing import Final

from forebay.cli.command import Command
from forebay.cli.options import ConfigFile, settings


def scheduler(*, config: ConfigFile = None) -> None:
    """Run the duties that come round.

    They repair what was interrupted. Of several schedulers, one leads.
    """
    import asyncio

    from forebay.stack import run_role

    asyncio.run(run_role("scheduler", settings(config)))


SCHEDULER: Final = Command(
    "scheduler", scheduler, ("FOREBAY_AMQP_URL=amqp://localhost FOREBAY_REDIS_URL=redis://localhost forebay scheduler",)
)
