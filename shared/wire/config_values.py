"""The kinds of values that stand in a configuration, each with what is allowed."""

import math
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from shared.domain.durations import format_duration, parse_duration

LONGEST_DURATION_S: Final = 366 * 86_400.0
LONGEST_NAME_BYTES: Final = 200
"""What is left of the 255 that AMQP allows a queue's name."""

SMALLEST_BODY: Final = 1024
LARGEST_BODY: Final = 15 * 1024 * 1024
"""RabbitMQ 4 refuses messages of more than 16 MiB, and a job is its request and some more."""

_BYTES: Final = {"": 1, "kib": 1024, "mib": 1024**2, "kb": 1000, "mb": 1000**2}
_SIZE: Final = re.compile(r"(?P<number>[0-9]{1,12})\s*(?P<unit>[a-z]*)", re.IGNORECASE)


class Section(BaseModel):
    """A mapping of the file. Keys that nobody here knows are kept apart, to be named in a warning."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=(), validate_default=True)


def _seconds(value: object) -> float:
    number = _number(value, "a duration such as 30s, 15m or 24h, or a number of seconds")
    if not 0 < number <= LONGEST_DURATION_S:
        raise ValueError("more than 0 and at most 366 days, as a duration (30s, 15m, 24h) or a number of seconds")
    return number


def _number(value: object, allowed: str) -> float:
    if isinstance(value, str):
        try:
            return float(value) if re.fullmatch(r"[0-9.]+", value) else parse_duration(value)
        except ValueError:
            raise ValueError(allowed) from None
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise ValueError(allowed)
    return float(value)


def _whole(value: object) -> int:
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch(r"-?[0-9]{1,15}", text):
        raise ValueError("a whole number")
    return int(text)


def whole_within(least: int, most: int) -> Callable[[object], int]:
    """Give a reader of whole numbers in a range, whose message is the range, whatever was found."""

    def read(value: object) -> int:
        allowed = f"a whole number from {least} to {most}"
        try:
            number = _whole(value)
        except ValueError:
            raise ValueError(allowed) from None
        if not least <= number <= most:
            raise ValueError(allowed)
        return number

    return read


def seconds_within(least: float, most: float) -> Callable[[object], float]:
    """Give a reader of durations in a range of seconds, whose message is the range, whatever was found."""

    def read(value: object) -> float:
        allowed = (
            f"from {format_duration(least)} to {format_duration(most)}, as a duration (30s, 1m) or a number of seconds"
        )
        number = _number(value, allowed)
        if not least <= number <= most:
            raise ValueError(allowed)
        return number

    return read


def _weight(value: object) -> float:
    allowed = "a number from 0 to 1000000"
    number = _number(value, allowed)
    if not 0 <= number <= 1_000_000:  # noqa: PLR2004 - the number that the message names
        raise ValueError(allowed)
    return number


def _decimal(value: object) -> Decimal:
    allowed = "US dollars per token, a number of at least 0, such as 0.00000015 or 1.5e-7"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(allowed)  # noqa: TRY004 - pydantic reports a ValueError with its path, and lets a TypeError pass
    try:
        price = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError(allowed) from None
    if not (price.is_finite() and price >= 0):
        raise ValueError(allowed)
    return price


def _size(value: object) -> int:
    found = None if isinstance(value, bool) else _SIZE.fullmatch(str(value).strip())
    factor = _BYTES.get(found["unit"].lower()) if found else None
    size = int(found["number"]) * factor if found and factor else 0
    if not SMALLEST_BODY <= size <= LARGEST_BODY:
        raise ValueError("from 1KiB to 15MiB, as a number of bytes or such as 4MiB")
    return size


def _base_url(value: object) -> str:
    allowed = "a URL that begins with http:// or https:// and names no user or password (the credential is api_key)"
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
        good = parts and parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc
        port_is_number = bool(good and parts and (parts.port is None or parts.port))
    except ValueError:
        port_is_number = False
    if not port_is_number:
        raise ValueError(allowed)
    return str(value).rstrip("/")


def public_name(value: object) -> str:
    """Give a model's public name; raises ``ValueError`` for what cannot be one."""
    good = isinstance(value, str) and value.isprintable() and value == value.strip()
    if not good or not 0 < len(str(value).encode()) <= LONGEST_NAME_BYTES:
        raise ValueError("1 to 200 bytes of printable text without spaces at its ends (it becomes part of queue names)")
    return str(value)


def _secret(value: object) -> SecretStr | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not value.isprintable() or value != value.strip():
        raise ValueError("printable text, without spaces at its ends")
    return SecretStr(value)


def empty_is_default(value: object) -> object:
    """Take a section that is named and left empty as if it were not there."""
    return {} if value is None else value


def empty_is_no_list(value: object) -> object:
    """Take a list that is named and left empty as one without members."""
    return [] if value is None else value


Seconds = Annotated[float, BeforeValidator(_seconds)]
"""A duration such as ``30s``, or a number of seconds."""
Whole = Annotated[int, BeforeValidator(_whole)]
Count = Annotated[Whole, Field(ge=0)]
Weight = Annotated[float, BeforeValidator(_weight)]
Dollars = Annotated[Decimal, BeforeValidator(_decimal)]
Bytes = Annotated[int, BeforeValidator(_size)]
BaseUrl = Annotated[str, BeforeValidator(_base_url)]
PublicName = Annotated[str, BeforeValidator(public_name)]
Secret = Annotated[SecretStr | None, BeforeValidator(_secret)]
"""Text that is never shown. Empty text is none."""
