"""What each class of work leaves of every limit to the others."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared.domain.lanes import JobClass, Priority

INTERACTIVE: Final = JobClass(Priority.INTERACTIVE)
"""The class that reserves are for. Its surplus has none: it holds what is beyond a team's share, or overdue."""

DEFAULT_INTERACTIVE_RESERVE: Final = 0.1
DEFAULT_IDLE_SHARE: Final = 0.5


def never(_now: float) -> bool:
    """Say no: the off-peak hours of an installation that has none."""
    return False


@dataclass(frozen=True, slots=True)
class Restraint:
    """How far a class holds back.

    kept: the share of every limit that it leaves. only_idle: it takes nothing that other work had to wait for.
    """

    kept: float = 0.0
    only_idle: bool = False


@dataclass(frozen=True, slots=True)
class ClassShares:
    """The rule for all classes.

    interactive_reserve: the share of every limit that only interactive work may use.
    idle_share: the share that deferrable work leaves free, outside of off-peak hours.
    is_off_peak: tells whether a moment (seconds since the epoch) is in off-peak hours.
    """

    interactive_reserve: float = DEFAULT_INTERACTIVE_RESERVE
    idle_share: float = DEFAULT_IDLE_SHARE
    is_off_peak: Callable[[float], bool] = never

    def restraint(self, job_class: JobClass, now: float) -> Restraint:
        """Give how far work that was taken from ``job_class`` holds back at ``now``.

        Deferrable work whose deadline came near was taken from another class than its own, and takes what that may take.
        """
        if job_class == INTERACTIVE:
            return Restraint()
        if job_class.priority is not Priority.DEFERRABLE or self.is_off_peak(now):
            return Restraint(self.interactive_reserve)
        return Restraint(max(self.idle_share, self.interactive_reserve), only_idle=True)
