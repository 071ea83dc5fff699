"""What waits in a lane, when a new job would have its turn, and whether there is room for it.

The estimate knows what waits now and how fast the limits let it through. It does not know what will still come: higher
classes that go on arriving delay a job further, answers from the cache and cancelled jobs bring it forward.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

from shared.domain.lanes import JobClass, Priority
from shared.domain.throughput import Throughput, moment_of_start, starts_per_s
from shared.domain.turns import SURPLUS_TURNS
from shared.domain.work_queue import QueueDepth

LONGEST_RETRY_AFTER_S: Final = 120.0
"""Seconds; OpenAI's client gives up when it is told to wait longer."""

SHORTEST_RETRY_AFTER_S: Final = 1.0

LONGEST_PROJECTION_S: Final = 366 * 86_400.0
"""Seconds beyond which nobody can tell."""


@dataclass(frozen=True, slots=True)
class BacklogPolicy:
    """How much may wait.

    surplus_after: unfinished jobs of a team in a class beyond which its further ones wait in the surplus class, whatever
    others have. largest_after: the same, of a team that has more than all others.
    max_jobs: messages of a lane beyond which no more are taken in.
    """

    surplus_after: int = 100
    largest_after: int = 10
    max_jobs: int = 1_000_000

    def is_surplus(self, backlog: int, others: int) -> bool:
        """Tell whether a job waits in the surplus class.

        ``backlog``: unfinished jobs of its team in its class, this one included. ``others``: jobs of the other teams
        that wait there. A team that has more than all others is the noisy one, and gets few places in front of them.
        """
        return backlog > self.surplus_after or (backlog > self.largest_after and backlog > others)


@dataclass(frozen=True, slots=True)
class Projection:
    """What is expected of a job. Moments are seconds since the epoch.

    jobs_ahead: jobs that will have their turn before it.
    """

    jobs_ahead: int
    starts_at: float
    finishes_at: float

    def lacks_s(self, deadline: float) -> float:
        """Give the seconds by which the deadline would be missed; 0 or less: it would be met."""
        return self.finishes_at - deadline


@dataclass(frozen=True, slots=True)
class WaitingRoom:
    """All classes of one priority.

    weight: turns of them together. waiting: jobs of each that have not started. everybody: the sum of those.
    """

    priority: Priority
    weight: int
    waiting: Mapping[JobClass, float]
    everybody: float

    def joined_by(self, job_class: JobClass, jobs: int) -> Self:
        """Give the room with so many more jobs of a class."""
        waiting = {**self.waiting, job_class: self.waiting[job_class] + jobs}
        return replace(self, waiting=waiting, everybody=self.everybody + jobs)

    def ahead(self, job_class: JobClass) -> float:
        """Count the jobs of this priority that have their turns before a new one of the class."""
        own = self.waiting[job_class]
        own_turns = _turns_within(job_class)
        others = (
            min(waiting, (own + 1) * _turns_within(other) / own_turns)
            for other, waiting in self.waiting.items()
            if other != job_class
        )
        return own + sum(others)


@dataclass(frozen=True, slots=True)
class LaneOutlook:
    """A lane at the moment ``at`` (seconds since the epoch): its queues, and the pace of its deployments.

    rooms: of every class. backlog: all messages, those at work included.
    tokens_per_job: an estimate, for deployments whose calls were not measured.
    """

    at: float
    rooms: tuple[WaitingRoom, ...]
    backlog: int
    throughputs: tuple[Throughput, ...]
    is_paused: bool = False
    tokens_per_job: float = 0.0

    @property
    def starts_per_s(self) -> float | None:
        """Jobs that can be started a second; None: not known."""
        return starts_per_s(self.throughputs, self.tokens_per_job)

    def projection(self, job_class: JobClass) -> Projection | None:
        """Give what is to be expected of a new job of the class; None: nobody can tell, or never."""
        return self._after(self._ahead(job_class))

    def best_case(self, job_class: JobClass) -> Projection | None:
        """Give the earliest that a deferrable job can hope for: the whole lane serves its class and nothing else."""
        return self._after(self._room(job_class).waiting[job_class])

    def joined_by(self, job_class: JobClass, jobs: int = 1) -> Self:
        """Give the outlook with so many more jobs of a class."""
        own = self._room(job_class)
        rooms = tuple(room.joined_by(job_class, jobs) if room is own else room for room in self.rooms)
        return replace(self, rooms=rooms, backlog=self.backlog + jobs)

    def _after(self, jobs: float) -> Projection | None:
        starts_at = None if self.is_paused else moment_of_start(self.throughputs, self.tokens_per_job, jobs)
        if starts_at is None or starts_at > self.at + LONGEST_PROJECTION_S:
            return None
        latencies = [each.latency_s for each in self.throughputs if each.latency_s is not None]
        return Projection(round(jobs), starts_at, starts_at + (sum(latencies) / len(latencies) if latencies else 0.0))

    def _ahead(self, job_class: JobClass) -> float:
        """Count the jobs of its own priority, and those of the others that have their turns meanwhile.

        By the rule of ``Turns``: while one has a turn, another has as many as its weight is larger, as long as it has
        work. Deferrable work runs on what the others leave, so all of theirs goes before it.
        """
        own = self._room(job_class)
        ahead = own.ahead(job_class)
        turns = ahead + 1
        for other in self.rooms:
            if other is own:
                continue
            if own.priority is Priority.DEFERRABLE:
                ahead += other.everybody
            else:
                ahead += min(other.everybody, turns * other.weight / own.weight)
        return ahead

    def _room(self, job_class: JobClass) -> WaitingRoom:
        return next(room for room in self.rooms if job_class in room.waiting)


def waiting_rooms(
    depths: Mapping[JobClass, QueueDepth], in_flight: int, weights: Mapping[Priority, int]
) -> tuple[WaitingRoom, ...]:
    """Give the rooms of a lane, of whose messages ``in_flight`` are calls under way.

    ``depths``: of every class. Of the messages in workers' hands, as many have not started as are more than the calls.
    """
    in_hand = sum(depth.unacknowledged for depth in depths.values())
    share = 1 - min(in_hand, in_flight) / in_hand if in_hand else 0.0
    by_priority: dict[Priority, dict[JobClass, float]] = {}
    for job_class, depth in depths.items():
        by_priority.setdefault(job_class.priority, {})[job_class] = depth.ready + share * depth.unacknowledged
    return tuple(
        WaitingRoom(priority, weights[priority], waiting, sum(waiting.values()))
        for priority, waiting in by_priority.items()
    )


def _turns_within(job_class: JobClass) -> int:
    """Give the turns of a class among those of its priority: a surplus has few while its sibling has work."""
    return 1 if job_class.is_surplus else SURPLUS_TURNS - 1


@dataclass(frozen=True, slots=True)
class Full:
    """There is no room. projection: of the job, had it been taken; None: nobody can tell."""

    projection: Projection | None
    retry_after_s: float


@dataclass(frozen=True, slots=True)
class TooLate:
    """The job would not be done by its deadline."""

    projection: Projection
    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Room:
    """The job may come. projection: what is expected of it; None: nobody can tell."""

    projection: Projection | None


def judge(
    outlook: LaneOutlook, policy: BacklogPolicy, job_class: JobClass, deadline: float | None
) -> Room | Full | TooLate:
    """Decide whether a new job of the class may join the backlog.

    A deferrable job is refused only when not even the whole lane could be in time.
    """
    projection = outlook.projection(job_class)
    if outlook.backlog >= policy.max_jobs:
        excess = outlook.backlog - policy.max_jobs + 1
        pace = outlook.starts_per_s
        return Full(projection, _retry_after_s(excess / pace if pace else LONGEST_RETRY_AFTER_S))
    judged = projection if job_class.window is None else outlook.best_case(job_class)
    if deadline is not None and judged is not None and judged.lacks_s(deadline) > 0:
        return TooLate(judged, _retry_after_s(judged.lacks_s(deadline)))
    return Room(projection)


def _retry_after_s(seconds: float) -> float:
    return min(LONGEST_RETRY_AFTER_S, max(SHORTEST_RETRY_AFTER_S, seconds))
