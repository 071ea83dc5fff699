"""What runs when. Read this table to know everything the scheduler does."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger

from scheduler.duties.republish_stranded_jobs import RepublishStrandedJobs
from shared.domain.clock import Clock
from shared.domain.job_store import JobStore
from shared.domain.lanes import DEFERRABLE_WINDOWS, DeferrableWindow
from shared.domain.work_queue import WorkQueue

Duty = Callable[[], Awaitable[int]]
"""Does what is due and gives how much that was; raises ``Unavailable`` when it could not look."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the timetable."""

    name: str
    trigger: BaseTrigger
    duty: Duty


def timetable(
    store: JobStore, queue: WorkQueue, clock: Clock, windows: Sequence[DeferrableWindow] = DEFERRABLE_WINDOWS
) -> tuple[Row, ...]:
    """Give every duty with its times. ``windows``: of deferrable work, the shortest first."""
    republish = RepublishStrandedJobs(store, queue, clock, windows)
    return (Row("republish stranded jobs", IntervalTrigger(seconds=10), republish),)
