"""Where the jobs of one lane wait for the provider's limits, in this worker.

Few come here at a time (``workers.room``). One of them asks, the one whose turn it is; when a higher class arrives
meanwhile it goes first.
"""

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from shared.domain.errors import StoreUnavailable
from shared.domain.lanes import JobClass
from shared.domain.rate_limit import NOTHING_TAKEN, RateLimits, Reservation, Sighting, Wait, Wish
from shared.domain.routing import Deployment
from shared.domain.turns import Turns

LONG_WAIT_S: Final = 5.0
"""A lane that has to wait longer gives its jobs back and rests."""

SHORTEST_WAIT_S: Final = 0.001


class LaneBlocked(Exception):
    """The lane's limits leave nothing for a while."""

    def __init__(self, seconds: float) -> None:
        """``seconds``: until there may be something again."""
        super().__init__(f"nothing for {seconds:.1f} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Applicant:
    """A job that wants to call: its class, and the deployments that would do, the best first."""

    job_id: str
    job_class: JobClass
    candidates: tuple[Deployment, ...]
    wish: Wish


_Entry = tuple[Applicant, asyncio.Future[Reservation]]


class QuotaGate:
    """The gate of one lane."""

    def __init__(self, lane: str, limits: RateLimits, turns: Turns) -> None:
        """``turns`` decides among the classes that wait."""
        self._lane = lane
        self._limits = limits
        self._turns = turns
        self._waiting: dict[JobClass, deque[_Entry]] = {}
        self._arrived = asyncio.Event()
        self._asking: asyncio.Task[None] | None = None

    async def pass_through(self, applicant: Applicant) -> Reservation:
        """Wait for a reservation.

        Raises:
            LaneBlocked: that would take long.
            StoreUnavailable: nobody can tell.
        """
        answer: asyncio.Future[Reservation] = asyncio.get_running_loop().create_future()
        entry = (applicant, answer)
        self._waiting.setdefault(applicant.job_class, deque()).append(entry)
        self._arrived.set()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        try:
            return await answer
        finally:
            self._leave(entry)

    async def _ask(self) -> None:
        while self._waiting:
            entry = self._waiting[self._turns.choose(self._waiting)][0]
            self._arrived.clear()
            try:
                found = await self._limits.reserve(self._lane, entry[0].candidates, entry[0].wish)
            except StoreUnavailable as error:
                return self._send_away(error)
            if isinstance(found, Wait):
                if found.seconds > LONG_WAIT_S:
                    return self._send_away(LaneBlocked(found.seconds))
                await self._until_something_changes(found.seconds)
            else:
                await self._let_through(entry, found)
        return None

    async def _let_through(self, entry: _Entry, reservation: Reservation) -> None:
        applicant, answer = entry
        self._turns.served(applicant.job_class)
        self._leave(entry)
        if answer.done():  # it was cancelled in that very moment
            await self._limits.settle(reservation, NOTHING_TAKEN, Sighting())
        else:
            answer.set_result(reservation)

    async def _until_something_changes(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, SHORTEST_WAIT_S)):
                await self._arrived.wait()

    def _send_away(self, why: LaneBlocked | StoreUnavailable) -> None:
        for queue in list(self._waiting.values()):
            for entry in list(queue):
                self._leave(entry)
                if not entry[1].done():
                    entry[1].set_exception(why)

    def _leave(self, entry: _Entry) -> None:
        queue = self._waiting.get(entry[0].job_class)
        if queue is None or entry not in queue:
            return
        queue.remove(entry)
        if not queue:
            del self._waiting[entry[0].job_class]
