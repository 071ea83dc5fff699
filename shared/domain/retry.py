"""Whether a failed attempt is followed by another, and when. The one owner of retries.

Backoff is exponential with full jitter: uniform in [0, min(cap, base * 2**n)].
Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.errors import ProviderError, RateLimited
from shared.domain.job import Attempt
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

    max_attempts: attempts in all, the first included. Being rate limited is not held against a
        job: such attempts have a bound of their own, ``max_rate_limited``.
    max_lost: attempts that ended without a trace (their worker died) before the job is given up
        as one that kills workers.
    base_s, cap_s: of the backoff.
    """

    max_attempts: int = 4
    max_rate_limited: int = 100
    max_lost: int = 3
    base_s: float = 1.0
    cap_s: float = 60.0

    def after_failure(
        self,
        error: ProviderError,
        attempts: Sequence[Attempt],
        *,
        others_left: bool,
        now: float,
        deadline: float | None,
        uniform: Uniform,
    ) -> RetryDecision:
        """Decide what follows the last of ``attempts``, which failed with ``error`` at time ``now``.

        ``others_left``: there is a deployment that has not been tried for this job.
        Where another deployment may help and is left, it is tried at once. A provider's own ``retry-after`` is a
        floor under the backoff. A wait that would end at or after the ``deadline`` (seconds since the epoch) is
        not begun.
        """
        if not (error.time_may_help or (error.elsewhere_may_help and others_left)):
            return GiveUp("neither time nor another deployment can help")
        limited = sum(attempt.outcome == RateLimited.code for attempt in attempts)
        failed = len(attempts) - limited
        if failed >= self.max_attempts or limited >= self.max_rate_limited:
            return GiveUp(f"{len(attempts)} attempts made")
        if error.elsewhere_may_help and others_left:
            return RetryAfter(0.0)
        step = limited if isinstance(error, RateLimited) else failed
        backoff = uniform(0.0, min(self.cap_s, self.base_s * 2 ** min(step - 1, 30)))
        delay = (error.retry_after_s or 0.0) + backoff
        if deadline is not None and now + delay >= deadline:
            return GiveUp("the next attempt would start after the deadline")
        return RetryAfter(delay)
