"""Durations as people write them: ``90s``, ``30m``, ``24h``, ``7d``, ``1h30m``."""

import re
from typing import Final

_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_PART: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([smhdw])")
_WHOLE: Final = re.compile(rf"(?:{_PART.pattern})+")


def parse_duration(text: str) -> float:
    """Give the seconds that a duration means.

    Raises:
        ValueError: it is not one; the message says what is allowed.
    """
    if not _WHOLE.fullmatch(text):
        raise ValueError("must be a duration, such as 90s, 30m, 24h, 7d or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
