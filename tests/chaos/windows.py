"""Counting calls in sliding windows."""

from bisect import bisect_left
from collections.abc import Sequence


def most_within(seconds: float, moments: Sequence[float]) -> int:
    """Give the most moments (in order) that any window of that length holds."""
    return max((bisect_left(moments, at + seconds) - place for place, at in enumerate(moments)), default=0)


def exceeded(moments: Sequence[float], per_second: float) -> dict[float, int]:
    """Give the windows that hold more calls than a provider would serve, which allows about a second's worth at once.

    The most calls of each such window, by its length in seconds.
    """
    counts = {seconds: most_within(seconds, moments) for seconds in (1.0, 2.0, 5.0, 10.0, 60.0)}
    return {seconds: most for seconds, most in counts.items() if most > per_second * (seconds + 1)}
