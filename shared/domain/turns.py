"""Whose turn it is: stride scheduling over the classes of a lane.

Source: Waldspurger and Weihl, "Stride Scheduling: Deterministic Proportional-Share Resource
Management", MIT/LCS/TM-528, 1995.
"""

from collections.abc import Collection, Mapping

from shared.domain.lanes import CLASSES, JobClass, Priority


class Turns:
    """Hands out turns so that, while all have work, each class gets its weight's share of them.

    A class that had no work does not save up turns: when it comes back it starts level with the
    class that was served last. A surplus class is served only while its sibling has nothing.
    """

    def __init__(self, weights: Mapping[Priority, int]) -> None:
        """``weights``: turns per round of each priority; every one at least 1."""
        self._stride = {job_class: 1 / weights[job_class.priority] for job_class in CLASSES}
        self._pass = dict.fromkeys(CLASSES, 0.0)
        self._now = 0.0

    def next(self, ready: Collection[JobClass]) -> JobClass:
        """Give the class to serve among ``ready`` (those that have work; not empty), and count its turn."""
        chosen = self.choose(ready)
        self.served(chosen)
        return chosen

    def choose(self, ready: Collection[JobClass]) -> JobClass:
        """Give the class whose turn it is among ``ready``; its turn is not counted yet."""
        candidates = [job_class for job_class in ready if not (job_class.is_surplus and job_class.sibling in ready)]
        return min(candidates, key=lambda job_class: (self._virtual_start(job_class), CLASSES.index(job_class)))

    def served(self, job_class: JobClass) -> None:
        """Count a turn of the class."""
        self._now = self._virtual_start(job_class)
        self._pass[job_class] = self._now + self._stride[job_class]

    def _virtual_start(self, job_class: JobClass) -> float:
        return max(self._pass[job_class], self._now)
