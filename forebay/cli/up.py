"""``forebay up``: everything in one process."""

from typing import TYPE_CHECKING, Final

import typer

from forebay.cli.command import Command
from forebay.cli.options import DEFAULT_HOST, DEFAULT_PORT, AsJson, ConfigFile, DataDir, Host, Port, settings
from forebay.cli.screen import show_json

if TYPE_CHECKING:
    from forebay.stack import Ready


def up(
    *,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    host: Host = DEFAULT_HOST,
    port: Port = DEFAULT_PORT,
    as_json: AsJson = False,
) -> None:
    """Run everything in one process.

    No server needs to be installed. Prints the URL once it is ready, and at the first start the admin key. What was accepted survives
    a kill. Start it again with the same data directory and the work goes on.
    """
    import asyncio

    from forebay.stack import Address, run_up

    asyncio.run(run_up(settings(config, data_dir), Address(host, port), _show_json if as_json else _show))


def _show(ready: "Ready") -> None:
    typer.echo(f"Forebay is ready at {ready.url}")
    if ready.new_admin_key is not None:
        typer.echo(f"The admin key, shown only this once: {ready.new_admin_key}")
        typer.echo(f"  export FOREBAY_URL={ready.url} FOREBAY_API_KEY={ready.new_admin_key}")


def _show_json(ready: "Ready") -> None:
    show_json({"url": ready.url, "new_admin_key": ready.new_admin_key})


UP: Final = Command("up", up, ("forebay up --config config.yaml --data-dir ./data",))
