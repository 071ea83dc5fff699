"""One lane of one worker: takes what comes, as much at a time as it has room."""

import asyncio
from typing import Final

from shared.domain.catalog import Lane
from shared.domain.clock import Clock
from shared.domain.errors import StoreUnavailable, Unavailable
from shared.domain.events import ArrivalCrashed, Emit
from shared.domain.work_queue import Delivery, Intake
from workers.executor import Executor
from workers.intake_keeper import IntakeKeeper
from workers.lane_switch import LaneSwitch
from workers.lease import WorkerLease
from workers.rests import on_the_way_at_most_s
from workers.room import Room

AFTER_OUTAGE_S: Final = 0.5
"""Seconds a lane rests after a server went away under a job."""

AFTER_CRASH_S: Final = 0.5
"""Seconds a message that our own code failed on is kept back, so that one that always fails does not spin."""

_LOOKS: Final = 10
"""Looks at those on the way in that time."""


class LaneRunner:
    """Whose turn it is, the intake decides; how many come at once, the room; when none may start, the rest."""

    def __init__(
        self, lane: Lane, intake: Intake, executor: Executor, lease: WorkerLease, room: Room, switch: LaneSwitch
    ) -> None:
        """``room``: of this lane alone; ``switch``: of the whole worker."""
        self._lane = lane
        self._intake = intake
        self._executor = executor
        self._lease = lease
        self._room = room
        self._switch = switch
        self._arrivals: dict[asyncio.Task[None], Delivery] = {}
        self._returning: set[asyncio.Task[None]] = set()
        room.listen(intake.reconsider)

    async def run(self, clock: Clock, emit: Emit) -> None:
        """Take and start jobs until cancelled. Jobs that were started go on; see ``drain``."""
        keeper = IntakeKeeper(self._lane.name, self._intake, self._switch, clock, emit)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keeper.keep())
            tasks.create_task(self._recall_who_waits_too_long(clock))
            tasks.create_task(self._take_and_start(keeper, clock, emit))

    async def drain(self, grace_s: float) -> int:
        """Stop taking; wait for what runs, ``grace_s`` seconds; give the rest back and tell how many that were."""
        await self._intake.close()
        under_way = {*self._arrivals, *self._returning}
        if not under_way:
            return 0
        _, unfinished = await asyncio.wait(under_way, timeout=grace_s)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        return len(unfinished)

    async def _take_and_start(self, keeper: IntakeKeeper, clock: Clock, emit: Emit) -> None:
        while True:
            await self._lease.held()
            delivery = await self._intake.take(
                lambda job_class: self._room.has_place_for(job_class) and keeper.allows(job_class)
            )
            self._start(delivery, keeper, clock, emit)

    def _start(self, delivery: Delivery, keeper: IntakeKeeper, clock: Clock, emit: Emit) -> None:
        self._room.enter(delivery.message.job_id, delivery.queue.job_class, clock.monotonic())
        arrival = asyncio.create_task(self._handle(delivery, keeper))
        self._arrivals[arrival] = delivery
        arrival.add_done_callback(lambda ended: self._ended(ended, clock, emit))

    def _ended(self, arrival: asyncio.Task[None], clock: Clock, emit: Emit) -> None:
        delivery = self._arrivals.pop(arrival)
        self._room.end(delivery.message.job_id, delivery.queue.job_class)
        if not arrival.cancelled() and (error := arrival.exception()) is not None:
            emit(ArrivalCrashed(delivery.message.job_id, type(error).__name__))
            self._returning.add(returning := asyncio.create_task(_give_back_later(delivery, clock)))
            returning.add_done_callback(self._returning.discard)

    async def _handle(self, delivery: Delivery, keeper: IntakeKeeper) -> None:
        try:
            verdict = await self._executor.execute(delivery, self._lane)
        except Unavailable as error:
            if isinstance(error, StoreUnavailable):
                self._lease.doubt()
            keeper.rest(None, AFTER_OUTAGE_S, "a server was away")
            await delivery.give_back()
        except asyncio.CancelledError:
            await asyncio.shield(delivery.give_back())  # it may have come before the executor had anything to return
            raise
        else:
            if verdict.rest_s > 0:
                keeper.rest(verdict.job_class, verdict.rest_s, "its limits leave nothing for a while")
                await delivery.give_back()

    async def _recall_who_waits_too_long(self, clock: Clock) -> None:
        look_s = min(map(on_the_way_at_most_s, self._intake.classes)) / _LOOKS
        while True:
            await clock.sleep(look_s)
            kept_waiting = self._room.kept_waiting(clock.monotonic())
            for arrival, delivery in self._arrivals.items():
                waited_s = kept_waiting.get(delivery.message.job_id, 0.0)
                if waited_s > on_the_way_at_most_s(delivery.queue.job_class):
                    arrival.cancel()


async def _give_back_later(delivery: Delivery, clock: Clock) -> None:
    await clock.sleep(AFTER_CRASH_S)
    await delivery.give_back()
