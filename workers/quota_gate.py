"""Where the jobs of one lane wait for the provider's limits, in this worker.

Few come here at a time (``workers.room``). Jobs that may go to the same deployments wait together: one of them asks, the
one whose turn it is; when a higher class arrives meanwhile it goes first. Jobs that may go elsewhere than the
others (a region, a deployment that failed them), or may take only what is idle, wait apart, so that they hold up nobody.
"""

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from shared.domain.circuit import Health
from shared.domain.errors import StoreUnavailable
from shared.domain.lanes import JobClass
from shared.domain.rate_limit import NOTHING_TAKEN, CallEnd, Wish
from shared.domain.reservations import Candidates, RateLimits, Reservation, Wait
from shared.domain.turns import Turns
from workers.call_ends import CallEnds

LONG_WAIT_S: Final = 5.0
"""A wait that is longer is not waited here."""

SHORTEST_WAIT_S: Final = 0.001


class LaneBlocked(Exception):
    """The deployments that would do let nothing through for a while."""

    def __init__(self, seconds: float) -> None:
        """``seconds``: until there may be something again."""
        super().__init__(f"nothing for {seconds:.1f} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Applicant:
    """A job that wants to call: its class, the deployments that would do, and what it wishes for.

    has_alternative: it has somewhere else to go, so it does not wait for deployments that are down.
    """

    job_class: JobClass
    candidates: Candidates
    wish: Wish
    has_alternative: bool = False


_Entry = tuple[Applicant, asyncio.Future[Reservation]]


class QuotaGate:
    """The gate of one lane."""

    def __init__(self, limits: RateLimits, turns: Turns, ends: CallEnds) -> None:
        """``turns`` decides among the classes that wait; ``ends`` takes back what is not used."""
        self._limits = limits
        self._turns = turns
        self._ends = ends
        self._queues: dict[tuple[frozenset[str], bool], _Queue] = {}

    async def pass_through(self, applicant: Applicant) -> Reservation:
        """Wait for a reservation.

        Raises:
            LaneBlocked: that would take long; or, for one with an alternative, all candidates are down.
            StoreUnavailable: nobody can tell.
        """
        deployments = frozenset(deployment.id for deployment in applicant.candidates.deployments)
        together = (deployments, applicant.wish.only_idle)
        queue = self._queues.setdefault(together, _Queue(self._limits, self._turns, self._ends))
        try:
            return await queue.wait(applicant)
        finally:
            if queue.is_empty:
                self._queues.pop(together, None)


class _Queue:
    """Those who may go to the same deployments."""

    def __init__(self, limits: RateLimits, turns: Turns, ends: CallEnds) -> None:
        self._limits = limits
        self._turns = turns
        self._ends = ends
        self._waiting: dict[JobClass, deque[_Entry]] = {}
        self._arrived = asyncio.Event()
        self._asking: asyncio.Task[None] | None = None

    @property
    def is_empty(self) -> bool:
        return not self._waiting

    async def wait(self, applicant: Applicant) -> Reservation:
        answer: asyncio.Future[Reservation] = asyncio.get_running_loop().create_future()
        entry = (applicant, answer)
        self._waiting.setdefault(applicant.job_class, deque()).append(entry)
        self._arrived.set()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        try:
            return await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                await asyncio.shield(self._give_back(answer.result()))  # it was granted in that very moment
            raise
        finally:
            self._leave(entry)

    async def _ask(self) -> None:
        while self._waiting:
            self._arrived.clear()
            waits: list[Wait] = []
            for entry in self._in_order():
                try:
                    found = await self._limits.reserve(entry[0].candidates, entry[0].wish)
                except StoreUnavailable as error:
                    self._forget(entry[0])
                    self._send_away(self._all(), error)
                    return
                if isinstance(found, Reservation):
                    await self._let_through(entry, found)
                    break
                waits.append(found)
            else:
                await self._wait_or_send_away(min(waits, key=lambda wait: wait.seconds))

    def _in_order(self) -> list[_Entry]:
        """Give whose turn it is, and then those who leave less of the limits to others: there may be some for them."""
        first = self._waiting[self._turns.choose(self._waiting)][0]
        heads = [queue[0] for queue in self._waiting.values()]
        others = [entry for entry in heads if entry[0].wish.kept < first[0].wish.kept]
        return [first, *sorted(others, key=lambda entry: entry[0].wish.kept)]

    async def _wait_or_send_away(self, wait: Wait) -> None:
        blocked = LaneBlocked(wait.seconds)
        if wait.seconds > LONG_WAIT_S:
            self._send_away(self._all(), blocked)
            return
        if wait.is_down:
            self._send_away([entry for entry in self._all() if entry[0].has_alternative], blocked)
        if self._waiting:
            await self._until_something_changes(wait.seconds)

    async def _let_through(self, entry: _Entry, reservation: Reservation) -> None:
        applicant, answer = entry
        self._turns.served(applicant.job_class)
        self._leave(entry)
        if answer.done():
            await self._give_back(reservation)
        else:
            answer.set_result(reservation)

    async def _give_back(self, reservation: Reservation) -> None:
        await self._ends.settle(reservation, NOTHING_TAKEN, CallEnd(Health.UNKNOWN))

    def _forget(self, applicant: Applicant) -> None:
        """Give back what may have been reserved, though its answer was lost; where nothing was, that does nothing."""
        candidates, wish = applicant.candidates, applicant.wish
        for deployment in candidates.deployments:
            reservation = Reservation(wish.name, candidates.lane, deployment, candidates.breaker, wish.cost)
            self._ends.settle_later(reservation, NOTHING_TAKEN, CallEnd(Health.UNKNOWN))

    async def _until_something_changes(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, SHORTEST_WAIT_S)):
                await self._arrived.wait()

    def _all(self) -> list[_Entry]:
        return [entry for queue in self._waiting.values() for entry in queue]

    def _send_away(self, entries: list[_Entry], why: LaneBlocked | StoreUnavailable) -> None:
        for entry in entries:
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
