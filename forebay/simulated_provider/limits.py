"""Rate limits that are really enforced: token buckets, refilled continuously."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final

from forebay.simulated_provider.refusals import Refusal, limit_reached

_MINUTE_S: Final = 60.0
_ROUNDING: Final = 1e-6
"""What adding up fractions may lose."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one key and model; None: no limit. ``burst_s``: seconds' worth that a bucket holds."""

    rpm: int | None = None
    tpm: int | None = None
    max_parallel: int | None = None
    burst_s: float = 1.0


class Bucket:
    """Holds up to ``burst_s`` seconds' worth of a minute limit, and at least one unit.

    A cost above the capacity is admitted when the bucket is full and leaves it in debt, so any
    sliding minute sees at most the limit, one capacity and one such overdraft.
    """

    def __init__(self, per_minute: int, burst_s: float, now: float) -> None:
        """Start full. ``now``: seconds of any clock that does not go back."""
        self.per_minute = per_minute
        self._per_second = per_minute / _MINUTE_S
        self._capacity = max(1.0, self._per_second * burst_s) if per_minute else 0.0
        self._level = self._capacity
        self._filled_at = now

    def wait_s(self, cost: float, now: float) -> float:
        """Give the seconds until ``cost`` would be admitted; 0: now."""
        self._refill(now)
        if not self.per_minute:
            return _MINUTE_S
        missing = min(cost, self._capacity) - self._level
        return missing / self._per_second if missing > _ROUNDING else 0.0

    def take(self, cost: float) -> None:
        """Take what was admitted; a negative cost gives back."""
        self._level = min(self._capacity, self._level - cost)

    def headers(self, unit: str) -> dict[str, str]:
        """Give the ``x-ratelimit-*`` headers. ``remaining`` is what may be used at once, not in the whole minute."""
        reset_s = (self._capacity - self._level) / self._per_second if self.per_minute else _MINUTE_S
        return {
            f"x-ratelimit-limit-{unit}": str(self.per_minute),
            f"x-ratelimit-remaining-{unit}": str(max(0, int(self._level + _ROUNDING))),
            f"x-ratelimit-reset-{unit}": duration(reset_s),
        }

    def _refill(self, now: float) -> None:
        self._level = min(self._capacity, self._level + (now - self._filled_at) * self._per_second)
        self._filled_at = now


class Meter:
    """Admits the calls of one key and model."""

    def __init__(self, limits: Limits, now: float) -> None:
        """Start with full buckets and nothing in flight."""
        self.in_flight = 0
        self.set(limits, now)

    def set(self, limits: Limits, now: float) -> None:
        """Put other limits in place of these; the buckets start full again."""
        self._limits = limits
        self._requests = None if limits.rpm is None else Bucket(limits.rpm, limits.burst_s, now)
        self._tokens = None if limits.tpm is None else Bucket(limits.tpm, limits.burst_s, now)

    def admit(self, tokens: int, now: float) -> None:
        """Let a call of an estimated number of tokens in; every admitted call must ``leave``.

        Raises:
            Refusal: a 429 that says which limit is reached and when to come again.
        """
        if self._limits.max_parallel is not None and self.in_flight >= self._limits.max_parallel:
            raise self._refusal("requests", f"{self._limits.max_parallel} calls at once are allowed.", 1.0)
        requests_wait = self._requests.wait_s(1, now) if self._requests else 0.0
        tokens_wait = self._tokens.wait_s(tokens, now) if self._tokens else 0.0
        if self._tokens and tokens > self._tokens.per_minute:
            raise self._refusal(
                "tokens",
                f"Request too large: it needs {tokens} tokens, more than the limit of a whole minute.",
                _MINUTE_S,
            )
        if requests_wait or tokens_wait:
            unit, wait = ("requests", requests_wait) if requests_wait >= tokens_wait else ("tokens", tokens_wait)
            raise self._refusal(unit, f"The limit of {unit} per minute is reached.", max(requests_wait, wait))
        if self._requests:
            self._requests.take(1)
        if self._tokens:
            self._tokens.take(tokens)
        self.in_flight += 1

    def leave(self, unused_tokens: int) -> None:
        """Note the end of an admitted call; give back what it was estimated too high (negative: too low)."""
        self.in_flight -= 1
        if self._tokens:
            self._tokens.take(-unused_tokens)

    def headers(self) -> dict[str, str]:
        """Give the ``x-ratelimit-*`` headers of the limits that are set."""
        requests = self._requests.headers("requests") if self._requests else {}
        tokens = self._tokens.headers("tokens") if self._tokens else {}
        return requests | tokens

    def _refusal(self, unit: str, message: str, wait_s: float) -> Refusal:
        headers: Mapping[str, str] = self.headers() | retry_after(wait_s)
        return limit_reached(unit, f"{message} Try again in {duration(wait_s)}.", headers)


def retry_after(wait_s: float) -> dict[str, str]:
    """Give the two headers that say when to come again, rounded up."""
    return {"retry-after": str(ceil(wait_s)), "retry-after-ms": str(ceil(wait_s * 1000))}


def duration(seconds: float) -> str:
    """Write seconds as OpenAI does: ``17ms``, ``1.5s``, ``6m0s``."""
    milliseconds = ceil(seconds * 1000 - _ROUNDING)
    if milliseconds < 1000:  # noqa: PLR2004 - a second
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds / 1000, 60)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"
