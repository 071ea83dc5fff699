"""The bucket in which a limit of our own users is counted.

This is the specification, in plain Python. ``shared/adapters/redis/lua/take_allowance.lua`` and ``settle_allowance.lua``
do the same where all processes meet; generated schedules must give equal answers from both.

A bucket holds one window's worth (a minute's, or a day's) and is refilled continuously, so a quiet user may spend a whole
window's worth at once. The worst that can pass in any one window is therefore twice the limit: a full bucket, and what
flows in while it is emptied. A bucket that is missing is full, so one that is full need not be kept.

A level may be negative: a debt, of an amount larger than the whole bucket, of a call that used more than was estimated, or
of those who queue for their turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

MINUTE_S: Final = 60.0
DAY_S: Final = 86_400.0

ROUNDING: Final = 1e-9
"""The share of an amount that may be missing: arithmetic is not exact."""


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """A bucket at a moment.

    capacity: the limit, which one window of ``window_s`` seconds refills.
    level: what is left; negative: a debt. at: the moment of the level, in seconds since the epoch.
    """

    capacity: float
    window_s: float
    level: float
    at: float

    @classmethod
    def full(cls, capacity: float, window_s: float, now: float) -> Self:
        """Give a bucket that nothing was taken from of late."""
        return cls(capacity, window_s, capacity, now)

    @property
    def rate(self) -> float:
        """What flows in, a second."""
        return self.capacity / self.window_s

    @property
    def full_in_s(self) -> float:
        """Seconds until it is full, if nothing is taken."""
        return (self.capacity - self.level) / self.rate if self.rate else 0.0

    def advanced(self, now: float) -> Self:
        """Give the bucket at ``now``; a clock that went back changes nothing."""
        passed = max(0.0, now - self.at)
        level = min(self.capacity, self.level + self.rate * passed)
        return replace(self, level=level, at=max(now, self.at))

    def wait_s(self, amount: float) -> float:
        """Give the seconds until ``amount`` may be taken, 0 for now. What is larger than the bucket waits for a full one.

        Nothing at all may always be taken, even from a debt.
        """
        if amount <= 0:
            return 0.0
        if self.rate == 0:
            return self.window_s  # in vain, but that is when to ask whether the limit was changed
        missing = min(amount, self.capacity) - self.level
        return missing / self.rate if missing > ROUNDING * max(1.0, amount) else 0.0

    def moved(self, amount: float) -> Self:
        """Give the bucket with ``amount`` put in, or taken out if it is negative."""
        return replace(self, level=min(self.capacity, self.level + amount))


@dataclass(frozen=True, slots=True)
class Turn:
    """The amounts are taken, and whoever took them may go on in ``wait_s`` seconds."""

    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing is taken: the bucket at ``place`` leaves too little, for ``wait_s`` seconds yet."""

    place: int
    wait_s: float


def take(
    buckets: Sequence[TokenBucket], amounts: Sequence[float], patience_s: float
) -> tuple[Turn | Refused, tuple[TokenBucket, ...]]:
    """Take from every bucket its amount, or from none; of buckets at one moment.

    ``patience_s``: how long one would wait for one's turn, in seconds; what is taken ahead of it is a debt. 0: not at all.
    """
    waits = [bucket.wait_s(amount) for bucket, amount in zip(buckets, amounts, strict=True)]
    shut = [place for place, bucket in enumerate(buckets) if bucket.rate == 0 and waits[place] > 0]
    longest = max(waits, default=0.0)
    place = shut[0] if shut else waits.index(longest) if longest > 0 else None
    if place is not None and (shut or longest >= patience_s):
        return Refused(place, waits[place]), tuple(buckets)
    taken = tuple(bucket.moved(-amount) for bucket, amount in zip(buckets, amounts, strict=True))
    return Turn(longest), taken
