"""Faults on demand: by a rate from the start, or by a rule put in while it runs."""

import random
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from forebay.simulated_provider.limits import retry_after
from forebay.simulated_provider.options import Options
from forebay.simulated_provider.refusals import (
    Refusal,
    content_filtered,
    failing,
    invalid,
    limit_reached,
    no_quota,
    too_long,
)


class FaultKind(StrEnum):
    """What goes wrong."""

    STATUS = "status"
    LATENCY = "latency"
    HANG = "hang"
    DISCONNECT = "disconnect"
    CUT_STREAM = "cut_stream"
    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"
    CONTENT_FILTER = "content_filter"
    INSUFFICIENT_QUOTA = "insufficient_quota"
    INVALID_JSON = "invalid_json"
    NO_CHOICES = "no_choices"


@dataclass(slots=True)
class Fault:
    """A rule: what goes wrong, and for which calls.

    status: of the error, for ``status``; 429 looks like a reached limit. retry_after_s: goes with it.
    seconds: of the added ``latency``, over which a stream is spread.
    at_byte: after so many bytes of a stream's events the connection is closed, for ``cut_stream``.
    count: how many more calls it strikes; None: no end. rate: the share of the matching calls it strikes.
    model, key, contains: strikes only calls of that model, by that key, whose content contains that text.
    """

    kind: FaultKind
    status: int = 500
    retry_after_s: float | None = None
    seconds: float = 0.0
    at_byte: int = 0
    count: int | None = None
    rate: float = 1.0
    model: str | None = None
    key: str | None = None
    contains: str | None = None

    def matches(self, key: str, model: str, text: str) -> bool:
        """Tell whether a call is one of those it may strike."""
        return (
            self.count != 0
            and self.model in {None, model}
            and self.key in {None, key}
            and (self.contains is None or self.contains in text)
        )

    def refusal(self) -> Refusal | None:
        """Give the error object it answers with, if that is what it does."""
        headers = {} if self.retry_after_s is None else retry_after(self.retry_after_s)
        match self.kind:
            case FaultKind.STATUS if self.status == 429:  # noqa: PLR2004 - Too Many Requests
                return limit_reached("requests", "The limit of requests per minute is reached.", headers)
            case FaultKind.STATUS:
                return failing(self.status, headers)
            case FaultKind.CONTEXT_LENGTH_EXCEEDED:
                return too_long(8192, 9000)
            case FaultKind.CONTENT_FILTER:
                return content_filtered()
            case FaultKind.INSUFFICIENT_QUOTA:
                return no_quota()
            case _:
                return None


class Faults:
    """Draws what goes wrong with each call."""

    def __init__(self, options: Options) -> None:
        """Take the rates and the seed."""
        self._random = random.Random(options.seed)  # noqa: S311 - repeatable, not secret
        self._standing = [
            Fault(kind, rate=rate)
            for kind, rate in (
                (FaultKind.STATUS, options.error_rate),
                (FaultKind.HANG, options.hang_rate),
                (FaultKind.DISCONNECT, options.disconnect_rate),
            )
            if rate > 0
        ]
        self._rules: list[Fault] = []

    def add(self, rule: Fault) -> None:
        """Put a rule in, after the earlier ones."""
        self._rules.append(rule)

    def clear(self) -> None:
        """Take every rule away; the rates from the start stay."""
        self._rules.clear()

    def draw(self, key: str, model: str, text: str) -> Fault | None:
        """Give the first rule that strikes this call, and count it."""
        for rule in (*self._rules, *self._standing):
            if rule.matches(key, model, text) and (rule.rate >= 1 or self._random.random() < rule.rate):
                if rule.count is not None:
                    rule.count -= 1
                return rule
        return None

    def latency_s(self, low: float, high: float) -> float:
        """Draw how long an answer takes."""
        return low if low == high else self._random.uniform(low, high)


def read_fault(asked: dict[str, Any]) -> Fault:
    """Read a rule from JSON; raises ``Refusal``."""
    names = {field.name for field in fields(Fault)}
    unknown = asked.keys() - names
    if unknown:
        raise invalid(f"A fault has no `{min(unknown)}`; it has {', '.join(sorted(names))}.", min(unknown))
    kinds = [kind.value for kind in FaultKind]
    if asked.get("kind") not in kinds:
        raise invalid(f"`kind` must be one of {', '.join(kinds)}.", "kind")
    return Fault(**{**asked, "kind": FaultKind(asked["kind"])})
