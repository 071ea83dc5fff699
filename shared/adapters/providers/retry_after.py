"""How long a provider asks us to wait, in whichever way it says so."""

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_WAIT_S: Final = 86_400.0
"""What is longer is cut to a day."""

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_IN_GOOGLES_BODY: Final = re.compile(r"[\"']retryDelay[\"']\s*:\s*[\"'](\d+(?:\.\d+)?)s[\"']")
_IN_THE_MESSAGE: Final = re.compile(r"try again in ((?:\d+(?:\.\d+)?(?:ms|h|m|s))+)", re.IGNORECASE)
_LIMIT_PREFIXES: Final = ("x-ratelimit-", "anthropic-ratelimit-")


def read_wait_s(headers: Mapping[str, str], body: str) -> float | None:
    """Give the seconds to wait, or None if the provider does not say.

    In order: ``retry-after-ms``; ``retry-after`` in seconds, or as a date, which counts from the answer's own ``date``;
    Google's ``retryDelay``; "try again in 6m0s" in the text; the latest reset of a limit that has nothing left.
    ``headers`` have lower-case names; ``body`` is the answer as text.
    """
    for wait_s in (_of_milliseconds(headers), _of_retry_after(headers), _of_text(body), _of_resets(headers)):
        if wait_s is not None:
            return min(wait_s, LONGEST_WAIT_S)
    return None


def rate_limit_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Keep the headers that speak of limits, with lower-case names."""
    lowered = ((name.lower(), value) for name, value in headers.items())
    return {name: value for name, value in lowered if name.startswith((*_LIMIT_PREFIXES, "retry-after"))}


def parse_duration_s(text: str) -> float | None:
    """Read ``6m0s``, ``1.5s``, ``20ms``, or a bare number of seconds."""
    parts = _DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text.strip():
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return _number(text)


def _of_milliseconds(headers: Mapping[str, str]) -> float | None:
    milliseconds = _number(headers.get("retry-after-ms", ""))
    return None if milliseconds is None else milliseconds / 1000


def _of_retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "")
    seconds = parse_duration_s(value)
    return seconds if seconds is not None else _until(_http_date(value), headers)


def _of_text(body: str) -> float | None:
    if found := _IN_GOOGLES_BODY.search(body):
        return float(found[1])
    found = _IN_THE_MESSAGE.search(body)
    return parse_duration_s(found[1].lower()) if found else None


def _of_resets(headers: Mapping[str, str]) -> float | None:
    waits = [
        _reset(headers.get(name.replace("remaining", "reset"), ""), headers)
        for name, left in headers.items()
        if name.startswith(_LIMIT_PREFIXES) and "remaining" in name and left.strip() == "0"
    ]
    return max((wait for wait in waits if wait is not None), default=None)


def _reset(value: str, headers: Mapping[str, str]) -> float | None:
    seconds = parse_duration_s(value)
    if seconds is not None:
        return seconds
    try:
        return _until(datetime.fromisoformat(value), headers)
    except ValueError:
        return None


def _until(moment: datetime | None, headers: Mapping[str, str]) -> float | None:
    now = _http_date(headers.get("date", ""))
    if moment is None or now is None or moment.tzinfo is None:
        return None
    return max(0.0, (moment - now).total_seconds())


def _http_date(value: str) -> datetime | None:
    try:
        return parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\s*\d{1,12}(\.\d+)?\s*", text) else None
