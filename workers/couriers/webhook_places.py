"""How many deliveries a receiver, and a team, may have under way in this process, so that slow ones hold up nobody else."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from workers.couriers.mail_round import HANDS

QUICK_S: Final = 1.0
"""Seconds within which a receiver must have answered the last time, for others to wait here for a place with it."""

LONGEST_WAIT_S: Final = 1.0
MOST_WAITING: Final = 24
"""Deliveries that may wait here for a place with one quick receiver: it is free again before they could be put away."""

FAILURES_IN_A_ROW: Final = 3
"""Attempts that failed one after the other, until a receiver counts as failing: one that fails now and then does not."""

BACK_EACH_S: Final = 1 / 32
"""Seconds between the messages that come back for a place with one quick receiver: what they cost is bounded by it."""

LONGEST_BACK_S: Final = 64.0
"""Seconds that a message is put away at most while there is no place for it."""

MOST_OF_A_TEAM: Final = HANDS // 4
"""Deliveries of one team, to all of its receivers together, that may hold a hand: the rest is for the others."""

MOST_REMEMBERED: Final = 10_000

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who answers: a team's URLs with the same scheme, host and port."""

    team: str
    origin: str

    @classmethod
    def of(cls, team: str, url: str) -> "Receiver":
        """Give the receiver of a URL; one that cannot be read is a receiver by itself, which the sender will refuse."""
        try:
            parts = urlsplit(url)
            port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
        except ValueError:
            return cls(team, url)
        return cls(team, f"{parts.scheme}://{parts.hostname}:{port}")


@dataclass(slots=True)
class _Desk:
    """One receiver's places.

    is_quick: it answered soon, the last time. failures: attempts in a row that it did not answer well.
    next_back_at: when the next message that is put away comes back, on the caller's clock.
    """

    taken: int = 0
    is_quick: bool = False
    failures: int = 0
    next_back_at: float = 0.0
    waiting: list[asyncio.Event] = field(default_factory=list)

    @property
    def is_failing(self) -> bool:
        return self.failures >= FAILURES_IN_A_ROW


class Places:
    """Gives places to deliveries."""

    def __init__(self, concurrency: int, of_team: int = MOST_OF_A_TEAM) -> None:
        """``concurrency``: places of each receiver; of one that failed ``FAILURES_IN_A_ROW`` times only one, until it answers well.

        of_team: places of a team, those that are waited for included.
        """
        self._concurrency = concurrency
        self._of_team = of_team
        self._held: Counter[str] = Counter()
        self._desks: OrderedDict[Receiver, _Desk] = OrderedDict()

    async def take(self, receiver: Receiver) -> bool:
        """Take a place; False: there is none, nor will there be at once."""
        if self._held[receiver.team] >= self._of_team:
            return False
        self._held[receiver.team] += 1
        is_taken = False
        try:
            is_taken = await self._take(receiver)
        finally:
            if not is_taken:
                self._let_go(receiver.team)
        return is_taken

    def back_in_s(self, receiver: Receiver, now: float) -> float | None:
        """Give the seconds after which who found no place is to come back, each after the one before.

        None: the receiver is slow or fails, or its team has no place left; then nobody can say. now: monotonic seconds.
        """
        desk = self._desks.get(receiver)
        if desk is None or not desk.is_quick or desk.is_failing or self._held[receiver.team] >= self._of_team:
            return None
        desk.next_back_at = min(max(desk.next_back_at, now) + BACK_EACH_S, now + LONGEST_BACK_S)
        return desk.next_back_at - now

    async def _take(self, receiver: Receiver) -> bool:
        desk = self._desks.setdefault(receiver, _Desk())
        self._desks.move_to_end(receiver)
        self._forget_some()
        if self._is_free(desk):
            desk.taken += 1
            return True
        if not desk.is_quick or desk.is_failing or len(desk.waiting) >= MOST_WAITING:
            return False
        return await self._wait(desk)

    @contextmanager
    def held(self, receiver: Receiver) -> Iterator["Answer"]:
        """Hold a place that was taken, until the block ends."""
        answer = Answer()
        try:
            yield answer
        finally:
            desk = self._desks[receiver]
            desk.taken -= 1
            self._let_go(receiver.team)
            if answer.went_well is not None:
                desk.failures = 0 if answer.went_well else desk.failures + 1
                desk.is_quick = answer.duration_s < QUICK_S
            self._let_in(desk)

    def _let_go(self, team: str) -> None:
        self._held[team] -= 1
        if not self._held[team]:
            del self._held[team]

    async def _wait(self, desk: _Desk) -> bool:
        turn = asyncio.Event()
        desk.waiting.append(turn)
        try:
            async with asyncio.timeout(LONGEST_WAIT_S):
                await turn.wait()
        except TimeoutError:
            desk.is_quick = desk.is_quick and turn.is_set()  # or a crowd would wait for who has just begun to hang
            return turn.is_set()
        except asyncio.CancelledError:
            if turn.is_set():
                desk.taken -= 1
                self._let_in(desk)
            raise
        finally:
            if turn in desk.waiting:
                desk.waiting.remove(turn)
        return True

    def _let_in(self, desk: _Desk) -> None:
        while desk.waiting and self._is_free(desk):
            desk.taken += 1
            desk.waiting.pop(0).set()

    def _is_free(self, desk: _Desk) -> bool:
        return desk.taken < (1 if desk.is_failing else self._concurrency)

    def _forget_some(self) -> None:
        while len(self._desks) > MOST_REMEMBERED:
            receiver = next((name for name, desk in self._desks.items() if not desk.taken and not desk.waiting), None)
            if receiver is None:
                return
            del self._desks[receiver]


@dataclass(slots=True)
class Answer:
    """What came of a delivery; ``went_well`` None: it was not sent."""

    went_well: bool | None = None
    duration_s: float = 0.0

    def is_known(self, *, went_well: bool, duration_s: float) -> None:
        """Note what came of it, for the next who want a place."""
        self.went_well, self.duration_s = went_well, duration_s
