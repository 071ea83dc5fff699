"""``forebay worker``: calls the providers."""

from typing import Final

from forebay.cli.command import Command
from forebay.cli.options import ConfigFile, settings


def worker(*, config: ConfigFile = None) -> None:
    """Take jobs from RabbitMQ and call the providers.

    SIGTERM lets running calls finish.
    """
    import asyncio

    from forebay.stack import run_role

    asyncio.run(run_role("worker", settings(config)))


WORKER: Final = Command(
    "worker", worker, ("FOREBAY_AMQP_URL=amqp://localhost FOREBAY_REDIS_URL=redis://localhost forebay worker",)
)
