"""``forebay check``: will it work, and is it safe?"""

import os
from typing import TYPE_CHECKING, Final

import typer

from forebay.cli.command import Command
from forebay.cli.options import AsJson, ConfigFile, settings
from forebay.cli.screen import show_json, show_table, stdout
from shared.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from shared.settings import Settings
    from shared.wire.config_check import Finding


def check(*, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Look for errors in the configuration and the servers.

    The servers are asked whether they can be reached, and whether they keep what they are given.
    Exit status 1 if something will not work; what is merely unsafe or in vain is a warning.
    """
    import asyncio

    from shared.wire.config_check import Level

    found = asyncio.run(_look(settings(config)))
    if as_json:
        show_json({"findings": found})
    elif found:
        rows = [(finding.level.value, finding.path, finding.message) for finding in found]
        show_table("", ("level", "where", "what"), rows, stdout())
    else:
        typer.echo("Everything is as it should be.")
    if any(finding.level is Level.ERROR for finding in found):
        raise typer.Exit(1)


async def _look(wanted: "Settings") -> list["Finding"]:
    from shared.bootstrap.checks import check_servers

    return [*_of_configuration(wanted), *await check_servers(wanted)]


def _of_configuration(wanted: "Settings") -> list["Finding"]:
    from shared.wire.config import load
    from shared.wire.config_check import findings, findings_of

    try:
        return findings(load(wanted.config, os.environ), wanted.admin_key)
    except ConfigurationError as error:
        return findings_of(error)


CHECK: Final = Command("check", check, ("forebay check --config config.yaml",))
