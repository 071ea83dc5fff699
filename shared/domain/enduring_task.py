"""Work in the background that nobody waits for, and that must not end in silence."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from shared.domain.clock import Clock
from shared.domain.events import BackgroundTaskDied, Emit

RESTART_PAUSE_S: Final = 0.5
"""Seconds between a failure and the next beginning."""


class EnduringTask:
    """A task whose failure is announced, and which begins anew then.

    What it runs must be able to begin after any point at which it may have failed.
    """

    def __init__(self, name: str, run: Callable[[], Coroutine[Any, Any, None]], clock: Clock, emit: Emit) -> None:
        """``run`` handles the errors it knows by itself; ``name`` is shown in events."""
        self._name = name
        self._run = run
        self._clock = clock
        self._emit = emit
        self._task: asyncio.Task[None] | None = None

    @property
    def is_started(self) -> bool:
        """Whether it was started, and not stopped since."""
        return self._task is not None

    def start(self) -> None:
        """Begin; without effect if it has begun."""
        if self._task is None:
            self._begin(self._run())

    async def finished(self) -> None:
        """Wait until it returns by itself; a failure is not an end. Returns at once if it does not run."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    async def stop(self) -> None:
        """Cancel it and wait for its end; harmless when repeated."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.create_task(work, name=self._name)
        self._task.add_done_callback(self._on_end)

    def _on_end(self, task: asyncio.Task[None]) -> None:
        failure = _failure_of(task)
        if failure is None:
            return
        self._emit(BackgroundTaskDied(self._name, failure))
        if self._task is task:
            self._begin(self._run_after_a_pause())

    async def _run_after_a_pause(self) -> None:
        await self._clock.sleep(RESTART_PAUSE_S)
        await self._run()


def _failure_of(task: asyncio.Task[None]) -> str | None:
    if task.cancelled():
        # Libraries end what waits on them by raising this; nobody asked the task itself to end then.
        return None if task.cancelling() else asyncio.CancelledError.__name__
    error = task.exception()
    return None if error is None else type(error).__name__
