"""One lane of one worker: takes what comes, as much at a time as it has slots."""

import asyncio
from typing import Final

from shared.domain.catalog import Lane
from shared.domain.clock import Clock
from shared.domain.errors import StoreUnavailable, Unavailable
from shared.domain.events import ArrivalCrashed, Emit, LanePaused
from shared.domain.work_queue import Delivery, Intake
from workers.executor import Executor
from workers.lane_switch import LaneSwitch
from workers.lease import WorkerLease
from workers.room import Room

SHORT_REST_S: Final = 5.0
"""A lane that rests longer than this gives its fetched messages back meanwhile."""

LONGEST_REST_S: Final = 60.0
"""Seconds after which a blocked lane looks again, whatever it was told."""

AFTER_OUTAGE_S: Final = 0.5
"""Seconds a lane rests after a server went away under a job."""

AFTER_CRASH_S: Final = 0.5
"""Seconds a message that our own code failed on is kept back, so that one that always fails does not spin."""


class LaneRunner:
    """Whose turn it is, the intake decides; how many run at once, the slots; when none may start, the rest."""

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
        self._arrivals: set[asyncio.Task[None]] = set()
        self._rests_until = 0.0

    async def run(self, clock: Clock, emit: Emit) -> None:
        """Take and start jobs until cancelled. Jobs that were started go on; see ``drain``."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._take_and_start(clock, emit))
            both.create_task(self._follow_the_switch())

    async def drain(self, grace_s: float) -> int:
        """Stop taking; wait for what runs, ``grace_s`` seconds; give the rest back and tell how many that were."""
        await self._intake.close()
        if not self._arrivals:
            return 0
        _, unfinished = await asyncio.wait(self._arrivals, timeout=grace_s)
        for arrival in unfinished:
            arrival.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        return len(unfinished)

    async def _take_and_start(self, clock: Clock, emit: Emit) -> None:
        while True:
            await self._lease.held()
            await self._rest(clock, emit)
            await self._room.free()
            delivery = await self._intake.take()
            if self._is_resting(clock) or self._is_paused:  # since it was asked for
                await delivery.give_back()
            else:
                self._start(delivery, clock, emit)

    async def _follow_the_switch(self) -> None:
        while True:
            await self._until_paused(paused=True)
            await self._intake.pause()
            await self._until_paused(paused=False)
            await self._intake.resume()

    async def _until_paused(self, *, paused: bool) -> None:
        while self._is_paused is not paused:
            await self._switch.changed()

    @property
    def _is_paused(self) -> bool:
        return self._switch.is_paused(self._lane.name)

    def _start(self, delivery: Delivery, clock: Clock, emit: Emit) -> None:
        self._room.enter(delivery.message.job_id)
        arrival = asyncio.create_task(self._handle(delivery, clock))
        self._arrivals.add(arrival)
        arrival.add_done_callback(lambda ended: self._ended(ended, delivery, clock, emit))

    def _ended(self, arrival: asyncio.Task[None], delivery: Delivery, clock: Clock, emit: Emit) -> None:
        self._arrivals.discard(arrival)
        self._room.end(delivery.message.job_id)
        if not arrival.cancelled() and (error := arrival.exception()) is not None:
            emit(ArrivalCrashed(delivery.message.job_id, type(error).__name__))
            self._arrivals.add(returning := asyncio.create_task(_give_back_later(delivery, clock)))
            returning.add_done_callback(self._arrivals.discard)

    async def _handle(self, delivery: Delivery, clock: Clock) -> None:
        try:
            verdict = await self._executor.execute(delivery, self._lane)
        except Unavailable as error:
            if isinstance(error, StoreUnavailable):
                self._lease.doubt()
            self._rest_for(AFTER_OUTAGE_S, clock)
            await delivery.give_back()
        else:
            self._rest_for(min(verdict.rest_s, LONGEST_REST_S), clock)

    def _rest_for(self, seconds: float, clock: Clock) -> None:
        self._rests_until = max(self._rests_until, clock.monotonic() + seconds)

    def _is_resting(self, clock: Clock) -> bool:
        return self._rests_until > clock.monotonic()

    async def _rest(self, clock: Clock, emit: Emit) -> None:
        if not self._is_resting(clock):
            return
        seconds = self._rests_until - clock.monotonic()
        emit(LanePaused(self._lane.name, seconds, "its limits leave nothing for a while, or a server was away"))
        if seconds <= SHORT_REST_S:
            await clock.sleep(seconds)
            return
        await self._intake.pause()
        await clock.sleep(seconds)
        await self._until_paused(paused=False)
        await self._intake.resume()


async def _give_back_later(delivery: Delivery, clock: Clock) -> None:
    await clock.sleep(AFTER_CRASH_S)
    await delivery.give_back()
