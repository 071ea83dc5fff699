"""What can be seen of a lane from outside: its queues, the state of its limits, and whether it is paused."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from shared.domain.catalog import Lane
from shared.domain.lanes import JobClass
from shared.domain.limit_state import LimitState
from shared.domain.throughput import Throughput
from shared.domain.work_queue import QueueDepth


@dataclass(frozen=True, slots=True)
class LaneSight:
    """A lane at the moment ``at`` (seconds since the epoch).

    depths: of every class. states: of the deployments' limits, in their order.
    tokens_per_job: an estimate; 0: not known.
    """

    lane: Lane
    at: float
    depths: Mapping[JobClass, QueueDepth]
    states: tuple[LimitState, ...]
    is_paused: bool
    tokens_per_job: float = 0.0

    @property
    def backlog(self) -> int:
        """Messages of all classes, those at work included."""
        return self.jobs_in(self.depths)

    def jobs_in(self, classes: Collection[JobClass]) -> int:
        """Count the messages of some classes, those at work included."""
        depths = [depth for job_class, depth in self.depths.items() if job_class in classes]
        return sum(depth.ready + depth.unacknowledged for depth in depths)

    @property
    def throughputs(self) -> tuple[Throughput, ...]:
        """The pace of each deployment."""
        pairs = zip(self.lane.deployments, self.states, strict=True)
        return tuple(Throughput.of(deployment, state, self.at) for deployment, state in pairs)
