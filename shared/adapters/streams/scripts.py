"""The scripts of this adapter, as text. Each ``.lua`` file documents its keys and arguments on top."""

from importlib.resources import files
from typing import Final

_COMMON: Final = "_common"


def script_text(name: str) -> str:
    """Give the script ``lua/<name>.lua``, with the functions that all share in front of it."""
    lua = files(__package__).joinpath("lua")
    return "\n".join(lua.joinpath(f"{part}.lua").read_text(encoding="utf-8") for part in (_COMMON, name))
