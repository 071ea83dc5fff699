"""Whether a failed attempt is followed by another, and when. The one owner of retries.

Backoff is exponential with full jitter: uniform in [0, min(cap, base * 2**n)].
Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.job import Attempt
from shared.domain.provider_errors import ProviderError, RateLimited
from shared.domain.randomness import Uniform


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No further attempt; the job fails with the attempt's error."""

    why: str


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Another attempt, not before ``delay_s`` seconds."""

    delay_s: float


RetryDecision = GiveUp | RetryAfter


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The bounds of retrying.

    max_attempts: attempts on each lane, the first included. Being rate limited, or having been a breaker's probe, is not
        held against a job: such attempts have a bound of their own, ``max_rate_limited``.
    max_lost: attempts that ended without a trace (their worker died) before the job is given up
        as one that kills workers.
    base_s, cap_s: of the backoff.
    """

    max_attempts: int = 4
    max_rate_limited: int = 100
    max_lost: int = 3
    base_s: float = 1.0
    cap_s: float = 60.0

    def allows(self, attempts: Sequence[Attempt]) -> bool:
        """Tell whether a job may be tried again on a lane after these attempts there."""
        free = sum(_is_free(attempt) for attempt in attempts)
        return len(attempts) - free < self.max_attempts and free < self.max_rate_limited

    def after_failure(
        self,
        error: ProviderError,
        attempts: Sequence[Attempt],
        *,
        may_come_back: bool,
        now: float,
        deadline: float | None,
        uniform: Uniform,
    ) -> RetryDecision:
        """Decide what follows a run in which nobody answered; ``attempts`` are all so far, the last run's included.

        ``may_come_back``: time may help, and a lane has attempts left (``allows``).
        A provider's own ``retry-after`` is a floor under the backoff. A wait that would end at or after the ``deadline``
        (seconds since the epoch) is not begun.
        """
        if not may_come_back:
            return GiveUp(f"nothing can help after {len(attempts)} attempts")
        # Each run calls a deployment at most once.
        runs = max(Counter(attempt.deployment for attempt in attempts).values(), default=1)
        backoff = uniform(0.0, min(self.cap_s, self.base_s * 2 ** min(runs - 1, 30)))
        delay = (error.retry_after_s or 0.0) + backoff
        if deadline is not None and now + delay >= deadline:
            return GiveUp("the next attempt would start after the deadline")
        return RetryAfter(delay)


def _is_free(attempt: Attempt) -> bool:
    """Whether it is not held against the job: the limit was reached, or the job only felt the way for others."""
    return attempt.outcome == RateLimited.code or attempt.is_probe
