"""Runs the timetable on APScheduler, in memory: the schedule is code, the work is in the servers.

Its engine runs in every scheduler, with the same times; only the one that leads acts. So a new leader need not be told
when what is due, and looks only whether the last firing of each duty was begun.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from scheduler.leadership import LEASE_S, Leadership
from scheduler.timetable import MISFIRE_GRACE_S, Row
from shared.domain.clock import Clock
from shared.domain.enduring_task import EnduringTask
from shared.domain.errors import ForebayError, StoreUnavailable
from shared.domain.events import DutyFailed, DutyRan, Emit, FiringsTaken, RoleStarted, RoleStopped
from shared.domain.schedule import Beginning, Firing, PlannedDuty, Result, Schedule

STOP_GRACE_S: Final = 5.0
"""Seconds that a duty under way is given when the scheduler is told to stop."""

REPEATS_TOLD: Final = 3
"""Firings of a duty in a row that were begun before: more than a change of leader explains."""


class Scheduler:
    """One process's scheduler. Any number of them may run; each firing happens once."""

    def __init__(
        self, rows: Sequence[Row], schedule: Schedule, clock: Clock, emit: Emit, lease_s: float = LEASE_S
    ) -> None:
        """``rows``: the timetable, the same in all schedulers. ``lease_s``: seconds, as ``Leadership`` has them."""
        self._rows = rows
        self._schedule = schedule
        self._clock = clock
        self._emit = emit
        self._leadership = Leadership(schedule, clock, emit, lease_s)
        self._under_way: set[asyncio.Task[Any]] = set()
        self._repeats: dict[str, int] = {}

    async def run(self, stop: asyncio.Event, on_ready: Callable[[], None] = lambda: None) -> None:
        """Fire the duties at their times, while it leads, until ``stop`` is set; then another may lead at once."""
        engine = AsyncIOScheduler(
            timezone="UTC",
            executors={"default": _FiringExecutor()},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": MISFIRE_GRACE_S},
        )
        for row in self._rows:
            engine.add_job(self._fire, row.trigger, args=[row, None], id=row.name)  # the executor puts the time in
        leading = EnduringTask("leadership", lambda: self._lead(engine), self._clock, self._emit)
        engine.start()
        leading.start()
        self._emit(RoleStarted("scheduler", self._leadership.name))
        on_ready()
        try:
            await stop.wait()
            engine.pause()
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=STOP_GRACE_S)
        finally:
            engine.shutdown(wait=False)
            await leading.stop()
            await self._leadership.end()
        self._emit(RoleStopped("scheduler", self._leadership.name))

    async def _lead(self, engine: AsyncIOScheduler) -> None:
        async def take_over(term: int) -> None:
            now = self._clock.now()
            planned = [PlannedDuty(row.name, row.times, row.next_after(self._now())) for row in self._rows]
            await self._schedule.publish(self._leadership.name, term, planned)
            for row in self._rows:
                missed = row.last_before(now)
                if missed is not None:
                    engine.modify_job(row.name, next_run_time=missed)

        await self._leadership.keep(take_over)

    async def _fire(self, row: Row, fires_at: datetime) -> None:
        term = self._leadership.term
        if term is None:
            return
        task = asyncio.current_task()
        assert task is not None
        self._under_way.add(task)
        try:
            await self._fire_in(term, row, fires_at.timestamp())
        finally:
            self._under_way.discard(task)

    async def _fire_in(self, term: int, row: Row, fires_at: float) -> None:
        firing = Firing(row.name, self._by_the_store(row, fires_at), row.times, row.next_after(self._now()))
        try:
            beginning = await self._schedule.begin(self._leadership.name, term, firing)
        except StoreUnavailable as error:
            self._emit(DutyFailed(row.name, error.message))
            return
        self._watch_repeats(row, beginning)
        if beginning is Beginning.STALE:
            self._leadership.doubt()
        elif beginning is Beginning.EARLY:
            self._emit(DutyFailed(row.name, "Its time has not come yet by the store's clock."))
        elif beginning is Beginning.BEGUN:
            result = await self._done(row)
            with suppress(StoreUnavailable):
                await self._schedule.end(term, firing, result)

    def _now(self) -> float:
        """Give the time by the store's clock."""
        return self._clock.now() - self._leadership.ahead_s

    def _by_the_store(self, row: Row, fires_at: float) -> float:
        """Give the firing's time as a right clock would have it: in the store it must be nobody else's."""
        ahead_s = self._leadership.ahead_s
        right = row.last_before(fires_at - ahead_s) if ahead_s else None
        return fires_at if right is None else right.timestamp()

    def _watch_repeats(self, row: Row, beginning: Beginning) -> None:
        """Say when a duty does nothing because all its times are taken; one is, where another led until now."""
        repeats = self._repeats.get(row.name, 0) + 1 if beginning is Beginning.REPEATED else 0
        self._repeats[row.name] = repeats
        if repeats == REPEATS_TOLD:
            self._emit(FiringsTaken(row.name, repeats))

    async def _done(self, row: Row) -> Result:
        started = self._clock.monotonic()
        try:
            did = await row.duty()
        except ForebayError as error:
            failure = error.message
        except Exception as error:  # noqa: BLE001 - a fault in one duty must be seen, and stop no other
            failure = type(error).__name__
        else:
            result = Result(did) if isinstance(did, int) else Result(sum(did.values()), did)
            self._emit(DutyRan(row.name, result.did, self._clock.monotonic() - started))
            return result
        self._emit(DutyFailed(row.name, failure))
        return Result(error=failure)


class _FiringExecutor(AsyncIOExecutor):  # type: ignore[misc]  # APScheduler 3 ships no types
    """Tells a firing its time, which APScheduler 3 keeps to itself."""

    def _do_submit_job(self, job: Any, run_times: Sequence[datetime]) -> None:  # noqa: ANN401 - as above
        # It was asked for no second time: of each duty one firing runs at a time.
        job.args = (job.args[0], run_times[-1])
        super()._do_submit_job(job, run_times)
