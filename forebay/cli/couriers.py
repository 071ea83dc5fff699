"""``forebay couriers``: webhooks and replies."""

from typing import Final

from forebay.cli.command import Command
from forebay.cli.options import ConfigFile, settings


def couriers(*, config: ConfigFile = None) -> None:
    """Deliver webhooks and replies."""
    import asyncio

    from forebay.stack import run_role

    asyncio.run(run_role("couriers", settings(config)))


COURIERS: Final = Command(
    "couriers", couriers, ("FOREBAY_AMQP_URL=amqp://localhost FOREBAY_REDIS_URL=redis://localhost forebay couriers",)
)
