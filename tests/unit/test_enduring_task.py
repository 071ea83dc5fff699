"""A task that nobody waits for: it never ends in silence."""

import asyncio

from shared.domain.clock import SystemClock
from shared.domain.enduring_task import EnduringTask
from shared.domain.events import BackgroundTaskDied, Event
from tests.clock import ManualClock


class Work:
    """Fails as often as it is told to, then works until it is let go."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures = list(failures)
        self.begun = 0
        self.works = asyncio.Event()
        self.let_go = asyncio.Event()

    async def run(self) -> None:
        self.begun += 1
        if self.failures:
            raise self.failures.pop(0)
        self.works.set()
        await self.let_go.wait()


async def test_each_failure_is_announced_and_the_work_begins_anew() -> None:
    work, events, clock = Work(ZeroDivisionError(), KeyError("a secret")), list[Event](), ManualClock()
    task = EnduringTask("digging", work.run, clock, events.append)
    task.start()
    await work.works.wait()
    await task.stop()
    assert events == [BackgroundTaskDied("digging", "ZeroDivisionError"), BackgroundTaskDied("digging", "KeyError")]
    assert len(clock.waits) == 2


async def test_a_cancellation_that_nobody_asked_for_is_a_failure_too() -> None:
    work, events = Work(asyncio.CancelledError()), list[Event]()
    task = EnduringTask("digging", work.run, ManualClock(), events.append)
    task.start()
    await work.works.wait()
    await task.stop()
    assert events == [BackgroundTaskDied("digging", "CancelledError")]


async def test_it_is_finished_once_it_returns_and_not_when_it_fails() -> None:
    work, events = Work(ZeroDivisionError()), list[Event]()
    task = EnduringTask("digging", work.run, ManualClock(), events.append)
    task.start()
    work.let_go.set()
    await task.finished()
    assert work.begun == 2
    assert len(events) == 1


async def test_one_that_was_stopped_does_not_begin_anew() -> None:
    work, events, died = Work(ZeroDivisionError()), list[Event](), asyncio.Event()

    def emit(event: Event) -> None:
        events.append(event)
        died.set()

    task = EnduringTask("digging", work.run, SystemClock(), emit)
    task.start()
    task.start()
    await died.wait()
    await task.stop()
    await task.finished()
    assert work.begun == 1
    assert not task.is_started
    assert len(asyncio.all_tasks()) == 1
