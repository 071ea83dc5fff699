"""Points in time as clients write and read them."""

import re
from datetime import UTC, datetime
from typing import Final

_RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")


def parse_moment(text: str) -> float:
    """Read an RFC 3339 time with its zone (``2026-12-01T02:00:00Z``) as seconds since the epoch.

    Raises:
        ValueError: it is not one; the message says what is allowed.
    """
    if _RFC_3339.fullmatch(text):
        try:
            return datetime.fromisoformat(text.upper()).timestamp()
        except ValueError:
            pass  # a 13th month, a 61st second: answered below, as any other
    raise ValueError("must be a time with its zone, such as 2026-12-01T02:00:00Z")


def format_moment(moment: float) -> str:
    """Write seconds since the epoch as RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def format_optional(moment: float | None) -> str | None:
    """As ``format_moment``; None stays None."""
    return None if moment is None else format_moment(moment)
