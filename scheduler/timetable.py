"""What runs when. Read this table to know everything the scheduler does."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger

from scheduler.duties.clean_up_files import CleanUpFiles, FileShelf
from scheduler.duties.expire_jobs import ExpireJobs
from scheduler.duties.forget_deliveries import ForgetDeliveries
from scheduler.duties.forget_jobs import ForgetJobs
from scheduler.duties.parts import DutyParts
from scheduler.duties.publish_notices import PublishNotices
from scheduler.duties.publish_overdue_deliveries import PublishOverdueDeliveries
from scheduler.duties.republish_stranded_jobs import RepublishStrandedJobs
from scheduler.duties.seal_batches import SealBatches
from scheduler.duties.tell_provider_changes import TellProviderChanges
from scheduler.duties.watch_deadlines import WatchDeadlines
from shared.domain.durations import format_duration

Duty = Callable[[], Awaitable[int | Mapping[str, int]]]
"""Does what is due, and gives how much that was, or how much of what; raises ``Unavailable`` when it could not look."""

MISFIRE_GRACE_S: Final = 600
"""A firing that comes at most this late (a paused process, a change of leader) still runs, once."""

_EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the timetable."""

    name: str
    trigger: BaseTrigger
    duty: Duty

    @property
    def times(self) -> str:
        """The times in words."""
        if isinstance(self.trigger, IntervalTrigger):
            return f"every {format_duration(self.trigger.interval.total_seconds())}"
        return str(self.trigger)

    def next_after(self, now: float) -> float | None:
        """Give the next time after ``now`` (seconds since the epoch); None: there is none."""
        moment = self.trigger.get_next_fire_time(None, datetime.fromtimestamp(now, UTC))
        return None if moment is None else moment.timestamp()

    def last_before(self, now: float) -> datetime | None:
        """Give the last time up to ``now`` that is not too late yet; None: there is none."""
        moment = self.trigger.get_next_fire_time(None, datetime.fromtimestamp(now - MISFIRE_GRACE_S, UTC))
        last = None
        while moment is not None and moment.timestamp() <= now:
            last = moment
            moment = self.trigger.get_next_fire_time(moment, moment)
        return last


def every(seconds: float) -> IntervalTrigger:
    """Fire at the multiples of so many seconds, which are the same moments in every scheduler."""
    return IntervalTrigger(seconds=seconds, start_date=_EPOCH, timezone=UTC)


def timetable(parts: DutyParts, shelf: FileShelf | None = None) -> tuple[Row, ...]:
    """Give every duty with its times. ``shelf``: of the files, if there are any."""
    return (
        Row("republish stranded jobs", every(10), RepublishStrandedJobs(parts)),
        Row("publish notices", every(10), PublishNotices(parts)),
        Row("publish overdue deliveries", every(30), PublishOverdueDeliveries(parts)),
        Row("tell provider changes", every(5), TellProviderChanges(parts)),
        Row("expire jobs", every(5), ExpireJobs(parts)),
        Row("seal batches", every(30), SealBatches(parts)),
        Row("watch deadlines", every(60), WatchDeadlines(parts)),
        Row("forget jobs", every(60), ForgetJobs(parts)),
        Row("forget deliveries", every(60), ForgetDeliveries(parts)),
        *([Row("clean up files", every(300), CleanUpFiles(shelf, parts.clock))] if shelf else []),
    )
