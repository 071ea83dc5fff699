"""Durations as people write them: ``90s``, ``30m``, ``24h``, ``7d``, ``1h30m``."""

import re
from typing import Final

_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_PART: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhdw])")
_WHOLE: Final = re.compile(rf"(?:{_PART.pattern})+")


def parse_duration(text: str) -> float:
    """Give the seconds that a duration means.

    Raises:
        ValueError: it is not one; the message says what is allowed.
    """
    if not _WHOLE.fullmatch(text):
        raise ValueError("must be a duration, such as 90s, 30m, 24h, 7d or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def format_duration(seconds: float) -> str:
    """Write seconds, to the millisecond, as ``parse_duration`` reads them: ``1h30m``, ``0.25s``, ``0s``.

    Raises:
        ValueError: they are negative or not finite.
    """
    if not 0 <= seconds < float("inf"):
        raise ValueError("must be a finite number of seconds, at least 0")
    rest = round(seconds * 1_000)
    parts = []
    for unit in ("d", "h", "m"):
        count, rest = divmod(rest, round(_SECONDS[unit] * 1_000))
        parts.append(f"{count}{unit}" if count else "")
    parts.append(f"{rest / 1_000:g}s" if rest or not any(parts) else "")
    return "".join(parts)
