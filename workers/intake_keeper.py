"""Sees to it that a lane's intake holds what it may hold: nothing of a class that rests, or that nobody takes.

RabbitMQ closes the channel of a consumer that keeps a message unacknowledged for 30 minutes, and takes back all that
came over it.
"""

import asyncio
from typing import Final

from shared.domain.clock import Clock
from shared.domain.events import Emit, LanePaused, MessagesReturned
from shared.domain.lanes import JobClass
from shared.domain.work_queue import Intake
from workers.lane_switch import LaneSwitch
from workers.rests import Rests, fetched_at_most_s, longest_rest_s, rests_when_untaken

_SHORTEST_LOOK_S: Final = 0.1
"""Seconds between two looks at what waits untaken, at least."""


class IntakeKeeper:
    """Pauses and resumes the classes of one lane's intake, as their rests and the operator's switch say."""

    def __init__(self, lane: str, intake: Intake, switch: LaneSwitch, clock: Clock, emit: Emit) -> None:
        """Nothing rests yet."""
        self._lane = lane
        self._intake = intake
        self._switch = switch
        self._clock = clock
        self._emit = emit
        self._rests = Rests()
        self._changed = asyncio.Event()
        self._paused: set[JobClass] = set()
        self._look_s = max(_SHORTEST_LOOK_S, min(map(fetched_at_most_s, intake.classes)) / 2)

    def allows(self, job_class: JobClass) -> bool:
        """Whether a message of the class may be taken now."""
        return not self._switch.is_paused(self._lane) and not self._rests.is_resting(job_class, self._clock.monotonic())

    def rest(self, job_class: JobClass | None, seconds: float, reason: str) -> None:
        """Let a class (None: the whole lane) take nothing for a while, cut to its longest rest."""
        seconds = min(seconds, longest_rest_s(job_class))
        if seconds <= 0:
            return
        if self._rests.begin(job_class, seconds, self._clock.monotonic()):
            self._emit(LanePaused(self._lane, seconds, reason, job_class.name if job_class else None))
        self._changed.set()

    async def keep(self) -> None:
        """Keep the intake, until cancelled."""
        while True:
            self._changed.clear()
            switched = asyncio.create_task(self._switch.changed())
            try:
                await self._return_the_untaken()
                await self._pause_and_resume()
                self._intake.reconsider()
                await self._until_there_is_something_to_do(switched)
            finally:
                switched.cancel()

    async def _return_the_untaken(self) -> None:
        for job_class, seconds in self._intake.kept_waiting().items():
            if seconds < fetched_at_most_s(job_class):
                continue
            self._emit(MessagesReturned(self._lane, job_class.name, seconds))
            await self._intake.pause([job_class])
            self._paused.add(job_class)
            if rests_when_untaken(job_class):
                rest_s = min(seconds, longest_rest_s(job_class))
                self._rests.begin(job_class, rest_s, self._clock.monotonic(), gives_back=True)

    async def _pause_and_resume(self) -> None:
        now = self._clock.monotonic()
        is_paused = self._switch.is_paused(self._lane)
        wanted = {each for each in self._intake.classes if is_paused or self._rests.gives_back(each, now)}
        if more := wanted - self._paused:
            await self._intake.pause(more)
        if fewer := self._paused - wanted:
            await self._intake.resume(fewer)
        self._paused = wanted

    async def _until_there_is_something_to_do(self, switched: asyncio.Task[object]) -> None:
        to_next_end = self._rests.seconds_to_next_end(self._clock.monotonic())
        seconds = self._look_s if to_next_end is None else min(self._look_s, to_next_end)
        changed = asyncio.create_task(self._changed.wait())
        time_is_over = asyncio.create_task(self._clock.sleep(seconds))
        try:
            await asyncio.wait((switched, changed, time_is_over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            time_is_over.cancel()
