"""Whose turn it is: stride scheduling over the classes of a lane.

Source: Waldspurger and Weihl, "Stride Scheduling: Deterministic Proportional-Share Resource
Management", MIT/LCS/TM-528, 1995.

It is done twice: first among the priorities, by their weights, then among the classes of the one whose turn it is.
"""

from collections.abc import Collection, Mapping
from typing import Final, Generic, TypeVar

from shared.domain.lanes import JobClass, Priority

SURPLUS_TURNS: Final = 16
"""One of so many turns of a priority is the surplus class's, while its sibling has work as well."""

_ORDER: Final = {priority: place for place, priority in enumerate(Priority)}

C = TypeVar("C")


class Strides(Generic[C]):
    """Turns among competitors, each as often as its weight says while all of them have work.

    One that had no work does not save up turns: when it comes back it starts level with the one that was
    served last.
    """

    def __init__(self) -> None:
        """Nobody has been served."""
        self._pass: dict[C, float] = {}
        self._now = 0.0

    def start(self, competitor: C) -> float:
        """Give the competitor's virtual time: the lowest one's turn it is."""
        return max(self._pass.get(competitor, 0.0), self._now)

    def served(self, competitor: C, weight: float) -> None:
        """Count a turn."""
        self._now = self.start(competitor)
        self._pass[competitor] = self._now + 1 / weight


class Turns:
    """Hands out turns so that, while all have work, each priority gets its weight's share of them.

    Of a priority's turns, those of a surplus class are few while its sibling has work, and all while it has none:
    so a team with a large backlog holds up nobody else, and is not held up for ever by a stream of others. The
    deferrable windows have equal shares.
    """

    def __init__(self, weights: Mapping[Priority, int]) -> None:
        """``weights``: turns per round of each priority; every one at least 1."""
        self._weights = weights
        self._among_priorities: Strides[Priority] = Strides()
        self._within: dict[Priority, Strides[JobClass]] = {priority: Strides() for priority in Priority}

    def next(self, ready: Collection[JobClass]) -> JobClass:
        """Give the class to serve among ``ready`` (those that have work; not empty), and count its turn."""
        chosen = self.choose(ready)
        self.served(chosen)
        return chosen

    def choose(self, ready: Collection[JobClass]) -> JobClass:
        """Give the class whose turn it is among ``ready``, of equal ones the first; its turn is not counted yet."""
        by_priority: dict[Priority, list[JobClass]] = {}
        for job_class in ready:
            by_priority.setdefault(job_class.priority, []).append(job_class)
        priority = min(by_priority, key=lambda each: (self._among_priorities.start(each), _ORDER[each]))
        classes = self._within[priority]
        return min(by_priority[priority], key=lambda each: (classes.start(each), each.is_surplus))

    def served(self, job_class: JobClass) -> None:
        """Count a turn of the class."""
        priority = job_class.priority
        self._among_priorities.served(priority, self._weights[priority])
        self._within[priority].served(job_class, 1 if job_class.is_surplus else SURPLUS_TURNS - 1)
