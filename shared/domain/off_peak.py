"""When the hours are in which deferrable work may use all that is free."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Final, Self

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""In the order of ``datetime.weekday``."""

LOOK_AHEAD_DAYS: Final = 15
"""Each window comes once a week at least; twice as far, should the one of this week fall into a changing of the clocks."""

_DAY: Final = timedelta(days=1)
_MINUTES_A_DAY: Final = 24 * 60
_WINDOW: Final = re.compile(
    rf"(?:(?P<first>{'|'.join(DAYS)})(?:-(?P<last>{'|'.join(DAYS)}))?)?"
    r"(?(first)(?:\s+(?=[0-9])|$))"
    r"(?:(?P<start>[0-9]{2}:[0-9]{2})-(?P<end>[0-9]{2}:[0-9]{2}))?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class WeeklyWindow:
    """Some hours of some weekdays.

    days: on which it begins, 0 is Monday. start, end: minutes after midnight, by the clock on the wall; an ``end`` that
    is not after the ``start`` is on the next day.
    """

    days: frozenset[int]
    start: int = 0
    end: int = _MINUTES_A_DAY

    @classmethod
    def of(cls, text: str) -> Self:
        """Read ``22:00-06:00`` (every day), ``sat`` (all of it), or ``mon-fri 12:00-13:00``.

        Raises:
            ValueError: it is no window; the message says what is.
        """
        found = _WINDOW.fullmatch(text.strip())
        if not text.strip() or found is None:
            raise ValueError(_ALLOWED)
        days = _days(found["first"], found["last"])
        if found["start"] is None:
            return cls(days)
        start, end = _minutes(found["start"]), _minutes(found["end"])
        if start in {end, _MINUTES_A_DAY}:
            raise ValueError(_ALLOWED)
        return cls(days, start, end)

    def includes(self, moment: datetime) -> bool:
        """Tell whether the clock on the wall, which shows ``moment``, is within the window."""
        minute, today = moment.hour * 60 + moment.minute, moment.weekday()
        if self.start < self.end:
            return today in self.days and self.start <= minute < self.end
        return (today in self.days and minute >= self.start) or ((today - 1) % 7 in self.days and minute < self.end)


@dataclass(frozen=True, slots=True)
class OffPeak:
    """The windows and the time zone whose clocks they follow; without windows it is never off-peak.

    It is off-peak whenever those clocks show a time within a window: an hour that they skip in spring is no part of
    it, an hour that they show twice in autumn counts both times.
    """

    windows: tuple[WeeklyWindow, ...] = ()
    zone: tzinfo = UTC

    @classmethod
    def of(cls, windows: Sequence[str], zone: tzinfo = UTC) -> Self:
        """Read each of the windows; raises ``ValueError`` as ``WeeklyWindow.of``."""
        return cls(tuple(WeeklyWindow.of(window) for window in windows), zone)

    def is_open(self, now: float) -> bool:
        """Tell whether it is off-peak at ``now``, in seconds since the epoch."""
        moment = datetime.fromtimestamp(now, self.zone)
        return any(window.includes(moment) for window in self.windows)

    def next_opening(self, now: float) -> float | None:
        """Give the first moment from ``now`` on that is off-peak (``now`` itself if it is), both in seconds since the epoch.

        None: there is no window.
        """
        if self.is_open(now):
            return now
        changes = (moment for moment in self._possible_openings(now) if moment > now)
        return min((moment for moment in changes if self.is_open(moment)), default=None)

    def _possible_openings(self, now: float) -> Iterator[float]:
        """Give each moment at which a window begins or the clocks are changed, until the look ahead ends."""
        today = datetime.fromtimestamp(now, self.zone).date()
        starts = {divmod(window.start, 60) for window in self.windows}
        for offset in range(LOOK_AHEAD_DAYS if starts else 0):
            day = datetime.combine(today + offset * _DAY, time(), self.zone)
            yield from _changes_of_clocks(day, day + _DAY)
            for hour, minute in starts:
                for fold in (0, 1):
                    yield day.replace(hour=hour, minute=minute, fold=fold).timestamp()


def _changes_of_clocks(start: datetime, end: datetime) -> Iterator[float]:
    """Give when the clocks are changed between two moments of one zone, to the second."""
    zone = start.tzinfo
    if start.utcoffset() == end.utcoffset():
        return
    before, after = int(start.timestamp()), int(end.timestamp())
    while after - before > 1:
        middle = (before + after) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == start.utcoffset():
            before = middle
        else:
            after = middle
    yield float(after)


def _days(first: str | None, last: str | None) -> frozenset[int]:
    if first is None:
        return frozenset(range(7))
    begin = DAYS.index(first.lower())
    length = (DAYS.index(last.lower()) - begin) % 7 if last else 0
    return frozenset((begin + step) % 7 for step in range(length + 1))


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    total = int(hours) * 60 + int(minutes)
    if int(minutes) >= 60 or total > _MINUTES_A_DAY:  # noqa: PLR2004 - minutes of an hour
        raise ValueError(_ALLOWED)
    return total


_ALLOWED: Final = (
    "hours (22:00-06:00), days (sat, or mon-fri) or both (mon-fri 12:00-13:00); "
    "hours from 00:00 to 24:00, the end another than the start"
)
