"""What a synchronous call wishes of us, in its headers: its body is the provider's."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from shared.domain.answer_cache import CacheMode
from shared.domain.durations import format_duration, parse_duration
from shared.domain.errors import InvalidInput, Unsupported
from shared.domain.lanes import Priority
from shared.wire.jobs import AttributionWish, CacheWish, Submission
from shared.wire.openai import Endpoint

DEFAULT_TIMEOUT_S: Final = 600.0
LONGEST_TIMEOUT_S: Final = 3_600.0
LONGEST_LABEL: Final = 256
LEAD_S: Final = 1.0
"""Seconds before a client's own timeout at which it is answered."""

PREFIX: Final = "x-forebay-"
PRIORITY: Final = "x-forebay-priority"
CACHE: Final = "x-forebay-cache"
TAGS: Final = "x-forebay-tags"
PROJECT: Final = "x-forebay-project"
FEATURE: Final = "x-forebay-feature"
USER: Final = "x-forebay-user"
TIMEOUT: Final = "x-forebay-timeout"
CLIENTS_TIMEOUT: Final = "x-stainless-read-timeout"
"""In which OpenAI's libraries tell the seconds after which they give up, and send the call again."""

ALLOWED: Final = (PRIORITY, CACHE, PROJECT, FEATURE, USER, TIMEOUT)

_LONGEST_QUOTE: Final = 40


@dataclass(frozen=True, slots=True)
class CallWish:
    """What was wished; what was not is as usual. timeout_s: seconds after which the client waits no longer."""

    priority: Priority
    cache: CacheWish
    attribution: AttributionWish
    timeout_s: float

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Self:
        """Read the headers (names in lower case).

        Raises:
            InvalidInput: one is not known here or its value is wrong; ``param`` is its name.
        """
        for name in headers:
            if name.startswith(PREFIX) and name not in ALLOWED:
                raise _unknown(name)
        return cls(
            priority=_priority(headers.get(PRIORITY)),
            cache=_cache(headers.get(CACHE)),
            attribution=AttributionWish(
                project=_label(headers, PROJECT), feature=_label(headers, FEATURE), user=_label(headers, USER)
            ),
            timeout_s=_timeout_s(headers),
        )

    def submission(self, endpoint: Endpoint, request: dict[str, object]) -> Submission:
        """Give the submission of a request that was checked."""
        return Submission(
            endpoint=endpoint,
            request=request,
            priority=self.priority,
            cache=self.cache,
            attribution=self.attribution,
        )


def _unknown(name: str) -> InvalidInput:
    if name == TAGS:
        return Unsupported(f"The header `{TAGS}` is not supported yet.", param=TAGS)
    shown = name[:_LONGEST_QUOTE]
    return InvalidInput(
        f"The header `{shown}` is not known here; allowed: {_listed(ALLOWED)}.", param=shown, code="unknown_parameter"
    )


def _priority(value: str | None) -> Priority:
    if value is None:
        return Priority.INTERACTIVE
    try:
        return Priority(value.strip().lower())
    except ValueError:
        raise _not_one_of(PRIORITY, value, [priority.value for priority in Priority]) from None


def _cache(value: str | None) -> CacheWish:
    if value is None:
        return CacheWish()
    mode = value.strip().lower()
    if mode == "semantic":
        raise Unsupported(f"The header `{CACHE}`: `semantic` is not supported yet.", param=CACHE)
    try:
        return CacheWish(mode=CacheMode(mode).value)
    except ValueError:
        raise _not_one_of(CACHE, value, [known.value for known in CacheMode]) from None


def _label(headers: Mapping[str, str], name: str) -> str | None:
    value = headers.get(name)
    if value is None:
        return None
    label = _decoded(value)
    if not 0 < len(label) <= LONGEST_LABEL:
        raise InvalidInput(
            f"The header `{name}` must have 1 to {LONGEST_LABEL} characters; found {len(label)}.", param=name
        )
    return label


def _timeout_s(headers: Mapping[str, str]) -> float:
    value = headers.get(TIMEOUT)
    if value is None:
        return _before(headers.get(CLIENTS_TIMEOUT))
    try:
        seconds = float(value) if value.strip()[-1:].isdigit() else parse_duration(value.strip())
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= LONGEST_TIMEOUT_S:  # which nothing that is no number is
        raise InvalidInput(
            f"The header `{TIMEOUT}` must be seconds (`30`) or a duration (`90s`, `10m`), more than 0 and at most "
            f"{format_duration(LONGEST_TIMEOUT_S)}; found `{value[:_LONGEST_QUOTE]}`.",
            param=TIMEOUT,
        )
    return seconds


def _before(clients_timeout: str | None) -> float:
    """Give a time that ends before the client's own: who gives up by himself learns of no job, and asks again."""
    try:
        seconds = float(clients_timeout or "")
    except ValueError:
        return DEFAULT_TIMEOUT_S
    if not seconds > 0:
        return DEFAULT_TIMEOUT_S
    return min(seconds - min(LEAD_S, seconds / 10), LONGEST_TIMEOUT_S)


def _decoded(value: str) -> str:
    """Give a header's text as it was meant: HTTP has Latin-1, and clients send UTF-8."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _not_one_of(name: str, value: str, allowed: list[str]) -> InvalidInput:
    return InvalidInput(
        f"The header `{name}` must be one of {_listed(allowed)}; found `{value[:_LONGEST_QUOTE]}`.", param=name
    )


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
