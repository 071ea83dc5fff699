"""Looking at a lane: at its queues, at the state of its limits, and whether it is paused."""

import asyncio
from collections.abc import Mapping, Sequence

from shared.domain.backlog import LaneOutlook, waiting_rooms
from shared.domain.catalog import Lane
from shared.domain.clock import Clock
from shared.domain.errors import NotFound
from shared.domain.lane_pauses import LanePauses
from shared.domain.lane_sight import LaneSight
from shared.domain.lanes import DeferrableWindow, Priority, QueueName, classes_with
from shared.domain.reservations import RateLimits
from shared.domain.work_queue import QueueDepth, WorkQueue


class LaneSurvey:
    """Looks at lanes. A look asks the broker for each class, and the store twice."""

    def __init__(
        self,
        queue: WorkQueue,
        limits: RateLimits,
        pauses: LanePauses,
        weights: Mapping[Priority, int],
        windows: Sequence[DeferrableWindow],
        clock: Clock,
    ) -> None:
        """``weights``, ``windows``: as the workers have them."""
        self._queue = queue
        self._limits = limits
        self._pauses = pauses
        self._weights = weights
        self._classes = classes_with(windows)
        self._clock = clock

    async def look(self, lane: Lane) -> LaneSight:
        """Look at a lane now. Raises ``Unavailable``."""
        at = self._clock.now()
        depths, states, paused = await asyncio.gather(
            asyncio.gather(*(self._depth(QueueName(lane.name, job_class)) for job_class in self._classes)),
            self._limits.look(lane.name, lane.deployments),
            self._pauses.paused(),
        )
        return LaneSight(lane, at, dict(zip(self._classes, depths, strict=True)), states, lane.name in paused)

    def outlook(self, sight: LaneSight) -> LaneOutlook:
        """Give what a sight means for new jobs."""
        throughputs = sight.throughputs
        in_flight = sum(throughput.in_flight for throughput in throughputs)
        rooms = waiting_rooms(sight.depths, in_flight, self._weights)
        return LaneOutlook(sight.at, rooms, sight.backlog, throughputs, sight.is_paused, sight.tokens_per_job)

    async def _depth(self, queue: QueueName) -> QueueDepth:
        try:
            return await self._queue.depth(queue)
        except NotFound:  # somebody removed it; the next publish makes it again
            return QueueDepth(0, 0)
