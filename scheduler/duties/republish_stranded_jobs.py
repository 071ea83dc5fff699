"""Publish the jobs that were recorded and, because of a crash in between, never confirmed by the broker."""

from collections.abc import Sequence
from typing import Final

from shared.domain.clock import Clock
from shared.domain.job_store import JobStore
from shared.domain.lanes import DEFERRABLE_WINDOWS, DeferrableWindow
from shared.domain.work_queue import Message, WorkQueue
from shared.wire.envelope import decode

STRANDED_AFTER_S: Final = 15.0
"""Seconds: well beyond the time a publish may take, so that no submission under way is met."""

AT_ONCE: Final = 500


class RepublishStrandedJobs:
    """A duty. Running it twice at once does no harm: a job is run by whoever claims it."""

    def __init__(
        self,
        store: JobStore,
        queue: WorkQueue,
        clock: Clock,
        windows: Sequence[DeferrableWindow] = DEFERRABLE_WINDOWS,
        stranded_after_s: float = STRANDED_AFTER_S,
    ) -> None:
        """Look in ``store``, publish to ``queue``. ``windows``: of deferrable work, the shortest first."""
        self._windows = windows
        self._stranded_after_s = stranded_after_s
        self._store = store
        self._queue = queue
        self._clock = clock

    async def __call__(self) -> int:
        """Do it; give the number of jobs published. Raises ``Unavailable``."""
        stranded = await self._store.stranded(self._stranded_after_s, AT_ONCE)
        for job in stranded:
            spec = decode(job.message).spec
            now = self._clock.now()
            queue = spec.queue(spec.starts_at(now), self._windows)
            await self._queue.publish(queue, Message(job.message, job.job_id), spec.wait_s(now))
            await self._store.mark_queued(job.team, [spec])
        return len(stranded)
