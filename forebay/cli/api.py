"""``forebay api``: the HTTP API alone."""

from typing import Final

from forebay.cli.command import Command
from forebay.cli.options import DEFAULT_HOST, DEFAULT_PORT, ConfigFile, Host, Port, settings


def api(*, config: ConfigFile = None, host: Host = DEFAULT_HOST, port: Port = DEFAULT_PORT) -> None:
    """Serve the HTTP API.

    The broker and the store are those of FOREBAY_AMQP_URL and FOREBAY_REDIS_URL.
    """
    import asyncio

    from forebay.stack import Address, run_role

    asyncio.run(run_role("api", settings(config), Address(host, port)))


API: Final = Command(
    "api", api, ("FOREBAY_AMQP_URL=amqp://localhost FOREBAY_REDIS_URL=redis://localhost forebay api --host 0.0.0.0",)
)
