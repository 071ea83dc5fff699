"""Who leads the schedulers, and what ran when: the port, and what it keeps.

Of several schedulers one acts: the one that holds the lease. Each change of leader, and each lapse of the lease, gives a
new **term**, a number that grows. Every firing begins with one atomic step that asks for the term and for that
firing, so what was paused and wakes up in the middle begins nothing any more, and no firing begins twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

RUNS_KEPT: Final = 20
"""Runs of each duty that are kept to be looked at."""

LAST_RUNS_KEPT: Final = 5
"""How many of them are the last ones; the others did something or failed, so that idle ones do not crowd them out."""


@dataclass(frozen=True, slots=True)
class Firing:
    """A duty at one of its times. ``fires_at``: seconds since the epoch; the other two: as in ``PlannedDuty``, after it."""

    duty: str
    fires_at: float
    times: str = ""
    next_at: float | None = None


class Beginning(StrEnum):
    """What became of the wish to begin a firing."""

    BEGUN = "begun"
    STALE = "stale"
    """The term is over: another leads, or nobody."""
    REPEATED = "repeated"
    """That firing was begun before, or is too long ago to tell."""
    EARLY = "early"
    """Its time has not come yet: the caller's clock is fast."""


@dataclass(frozen=True, slots=True)
class PlannedDuty:
    """A line of the timetable as others see it. ``times``: in words; ``next_at``: seconds since the epoch."""

    name: str
    times: str
    next_at: float | None


@dataclass(frozen=True, slots=True)
class Run:
    """A firing that was begun.

    began_at, ended_at: by the store's clock; ``ended_at`` None: it runs, or its scheduler died in it.
    by, term: who led then. did: how much there was to do; ``parts`` says of what. error: why it could not be done.
    """

    fires_at: float
    began_at: float
    by: str
    term: int
    ended_at: float | None = None
    did: int | None = None
    parts: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended; as in ``Run``."""

    did: int = 0
    parts: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Leader:
    """Who leads, or led last. ``since``, ``until``: of the lease, by the store's clock; ``is_leading``: it runs."""

    name: str
    term: int
    since: float
    until: float
    is_leading: bool


@dataclass(frozen=True, slots=True)
class ScheduleSight:
    """What is seen of the schedule. Runs: the last one first. ``leader`` None: there never was one."""

    leader: Leader | None
    duties: Sequence[tuple[PlannedDuty, Sequence[Run]]]


class Schedule(Protocol):
    """The port to what all schedulers share. By the store's own clock; all of it raises ``StoreUnavailable``."""

    async def lead(self, name: str, lease_s: float) -> int | None:
        """Take or renew the lease for that many seconds; give the term, or None: another holds it."""
        ...

    async def now(self) -> float:
        """Give the store's time, in seconds since the epoch."""
        ...

    async def resign(self, name: str) -> None:
        """Give the lease back, if it is ours."""
        ...

    async def publish(self, name: str, term: int, duties: Sequence[PlannedDuty]) -> bool:
        """Let others see the timetable, instead of what was there; False: the term is over, and nothing was changed."""
        ...

    async def begin(self, name: str, term: int, firing: Firing) -> Beginning:
        """Begin a firing, if the term is the current one and nobody began that firing before.

        Each call is a beginning of its own; repeated after a lost reply it is the same one.
        """
        ...

    async def end(self, term: int, firing: Firing, result: Result) -> None:
        """Note how a firing ended that was begun in that term."""
        ...

    async def look(self) -> ScheduleSight:
        """Give who leads, and each duty with its next and its last runs."""
        ...
