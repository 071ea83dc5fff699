"""How many retries a lane can afford: a share of its first attempts, so that retries cannot multiply in an outage.

Source: "Retry budgets", Finagle user guide (Twitter); Google SRE Book, chapter 22, "Addressing Cascading Failures".
Kept in each worker: each sees its part of the lane's calls, and may add the same share to it.
"""

from typing import Final

PER_FIRST_ATTEMPT: Final = 0.2
"""Retries that each first attempt pays for."""

ALWAYS_PER_S: Final = 5.0
"""Retries a second that are affordable whatever happens."""

MOST_SAVED: Final = 100.0
"""Retries that can be saved up; a new budget has them all."""


class RetryBudget:
    """The budget of one lane in one worker. Who overdraws it waits; nobody fails for it."""

    def __init__(self) -> None:
        """Begin with what can be saved at most."""
        self._saved = MOST_SAVED
        self._counted_at: float | None = None

    def pay_in(self) -> None:
        """Note a first attempt."""
        self._saved = min(MOST_SAVED, self._saved + PER_FIRST_ATTEMPT)

    def delay_s(self, now: float) -> float:
        """Take a retry out, at ``now`` (seconds of any one clock); give the seconds until it is paid for."""
        if self._counted_at is not None:
            self._saved = min(MOST_SAVED, self._saved + max(0.0, now - self._counted_at) * ALWAYS_PER_S)
        self._counted_at = now
        self._saved -= 1
        return max(0.0, -self._saved / ALWAYS_PER_S)
