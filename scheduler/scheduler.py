"""Runs the timetable on APScheduler, in memory: the schedule is code, the work is in the servers."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from scheduler.timetable import Row
from shared.domain.clock import Clock
from shared.domain.errors import Unavailable
from shared.domain.events import DutyFailed, DutyRan, Emit, RoleStarted, RoleStopped

MISFIRE_GRACE_S: Final = 600
"""A firing that comes at most this late (a paused process) still runs, once."""


class Scheduler:
    """One process's scheduler. Every duty of today may run in several processes at once without harm."""

    def __init__(self, rows: Sequence[Row], clock: Clock, emit: Emit) -> None:
        """``rows``: the timetable."""
        self._rows = rows
        self._clock = clock
        self._emit = emit

    async def run(self, stop: asyncio.Event, on_ready: Callable[[], None] = lambda: None) -> None:
        """Fire the duties at their times until ``stop`` is set."""
        engine = AsyncIOScheduler(
            timezone="UTC",
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": MISFIRE_GRACE_S},
        )
        for row in self._rows:
            engine.add_job(self._fire, row.trigger, args=[row], id=row.name)
        engine.start()
        self._emit(RoleStarted("scheduler", "scheduler"))
        on_ready()
        try:
            await stop.wait()
        finally:
            engine.shutdown(wait=False)
        self._emit(RoleStopped("scheduler", "scheduler"))

    async def _fire(self, row: Row) -> None:
        started = self._clock.monotonic()
        try:
            did = await row.duty()
        except Unavailable as error:
            self._emit(DutyFailed(row.name, error.message))
        else:
            self._emit(DutyRan(row.name, did, self._clock.monotonic() - started))
