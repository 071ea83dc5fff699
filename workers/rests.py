"""When a lane, or one of its classes, takes nothing for a while, and when what was fetched of it goes back."""

from dataclasses import dataclass
from typing import Final

from shared.domain.lanes import JobClass

SHORT_REST_S: Final = 5.0
"""What rests longer than this gives its fetched messages back meanwhile."""

LONGEST_REST_S: Final = 60.0
"""Seconds after which what is blocked looks again, whatever it was told; a short window has less to lose."""

FETCHED_AT_MOST_S: Final = 60.0
"""Seconds for which a message is kept that was fetched and that nobody takes; a short window has less to lose."""

ON_THE_WAY_AT_MOST_S: Final = 600.0
"""Seconds for which a job that was taken looks for capacity; a short window has less to lose."""


@dataclass(frozen=True, slots=True)
class _Rest:
    until: float
    gives_back: bool


class Rests:
    """Those of one lane in one worker. Every moment is of the monotonic clock."""

    def __init__(self) -> None:
        """Nothing rests."""
        self._rests: dict[JobClass | None, _Rest] = {}

    def begin(self, job_class: JobClass | None, seconds: float, now: float, *, gives_back: bool = False) -> bool:
        """Let a class (None: the whole lane) rest; give whether it did not rest before.

        A longer rest that it has already goes on. ``gives_back``: even if the rest is short.
        """
        before = self._active(job_class, now) or _Rest(now, gives_back=False)
        gives_back = before.gives_back or gives_back or seconds > SHORT_REST_S
        self._rests[job_class] = _Rest(max(before.until, now + seconds), gives_back)
        return before.until <= now

    def is_resting(self, job_class: JobClass, now: float) -> bool:
        """Whether the class must take nothing, by a rest of its own or of the lane."""
        return any(self._active(scope, now) for scope in (job_class, None))

    def gives_back(self, job_class: JobClass, now: float) -> bool:
        """Whether it rests, and what was fetched of it belongs back in its queue."""
        rests = (self._active(scope, now) for scope in (job_class, None))
        return any(rest is not None and rest.gives_back for rest in rests)

    def seconds_to_next_end(self, now: float) -> float | None:
        """Give the seconds until some rest is over; None: nothing rests."""
        return min((rest.until - now for rest in self._rests.values() if rest.until > now), default=None)

    def _active(self, scope: JobClass | None, now: float) -> _Rest | None:
        rest = self._rests.get(scope)
        return rest if rest is not None and rest.until > now else None


def longest_rest_s(job_class: JobClass | None) -> float:
    """Give the most seconds that a class rests at a time; for a window no more than its margin."""
    window = job_class.window if job_class is not None else None
    return LONGEST_REST_S if window is None else min(LONGEST_REST_S, window.margin_s)


def fetched_at_most_s(job_class: JobClass) -> float:
    """Give the seconds for which a message is kept that nobody takes.

    While it is here its window's end cannot move it to where it is not deferred any more, so for a window
    that is half the margin.
    """
    window = job_class.window
    return FETCHED_AT_MOST_S if window is None else min(FETCHED_AT_MOST_S, window.margin_s / 2)


def on_the_way_at_most_s(job_class: JobClass) -> float:
    """Give the seconds after which a job that was taken and has not found capacity is given back.

    For the broker's sake, which closes the channel of who keeps a message for long; and for a window as in
    ``fetched_at_most_s``: at the gate it would wait beyond its deadline.
    """
    window = job_class.window
    return ON_THE_WAY_AT_MOST_S if window is None else min(ON_THE_WAY_AT_MOST_S, window.margin_s / 2)


def rests_when_untaken(job_class: JobClass) -> bool:
    """Whether a class rests after its messages were given back because nobody took them.

    A main class does not: people wait for it. The others leave it to the other workers for a while.
    """
    return job_class.is_surplus or job_class.window is not None
