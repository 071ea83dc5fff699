"""How many clients may wait on one API process at once: each holds a connection, which is an open file.

A team may have as many seats as are free. So one team alone has half of them at most, two have a third each, and
however many teams take all they can, some seats are left for one more. (The rule is that of buffers which many queues
share: Choudhury and Hahne, "Dynamic queue length thresholds", 1998, with the factor 1.)
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

from shared.domain.errors import TooManyWaiting

RESERVE: Final = 256
"""Open files that are kept for the connections to servers; never more than half of all."""

SHARE: Final = 0.8
"""Of the other open files; what is left is for requests that do not wait."""

COME_AGAIN_S: Final = 10.0
"""Seconds after which who found no seat may ask again: nobody knows when others stop waiting."""


def reserve_of(open_files: int) -> int:
    """Give how many of a process's open files are kept for its connections to servers."""
    return min(RESERVE, open_files // 2)


class Seats:
    """The seats of one API process: who waits has one."""

    def __init__(self, total: int) -> None:
        """All of the ``total`` are free."""
        self.total = total
        self._taken: Counter[str] = Counter()

    @classmethod
    def of(cls, open_files: int) -> Self:
        """Give as many as a process may have that is allowed so many open files; at least one."""
        return cls(max(1, int(SHARE * (open_files - reserve_of(open_files)))))

    @property
    def free(self) -> int:
        """How many nobody has."""
        return self.total - self._taken.total()

    @contextmanager
    def taken(self, team: str) -> Iterator[None]:
        """Have a seat, of the team's share, for as long as the block lasts.

        Raises:
            TooManyWaiting: the team has as many as are free, or more.
        """
        if self._taken[team] >= self.free:
            raise TooManyWaiting(self._refusal(team), COME_AGAIN_S)
        self._taken[team] += 1
        try:
            yield
        finally:
            self._taken[team] -= 1
            if not self._taken[team]:
                del self._taken[team]

    def _refusal(self, team: str) -> str:
        return (
            f"{self._taken[team]} clients of team {team} wait on this API process, which may hold {self.total} that wait, "
            f"and {self.free} of these places are free; allowed: at most as many of one team as are free. Come again "
            "later, or ask without waiting."
        )
