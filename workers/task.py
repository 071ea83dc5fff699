"""One run of a job through the worker's pipeline: what goes down, what comes up, and what a stage is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from shared.domain.answer_cache import CacheResult
from shared.domain.catalog import Lane
from shared.domain.job import Attempt, Envelope, Json
from shared.domain.usage import Usage


@dataclass(frozen=True, slots=True)
class Task:
    """What goes down the pipeline.

    earlier: the attempts of earlier runs of this job.
    attempts: those of this run, in the order they ended; the stage that calls providers appends to it.
    """

    envelope: Envelope
    lane: Lane
    earlier: tuple[Attempt, ...] = ()
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def tried(self) -> frozenset[str]:
        """The deployments this job was tried on."""
        return frozenset(attempt.deployment for attempt in (*self.earlier, *self.attempts))

    @property
    def others_left(self) -> bool:
        """Whether the lane has a deployment this job was not tried on."""
        return any(deployment.id not in self.tried for deployment in self.lane.deployments)


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes up the pipeline. ``cost_usd``: None where the price is not known."""

    response: Json
    served_by: str
    usage: Usage | None
    cost_usd: Decimal | None
    cache: CacheResult


Proceed = Callable[[Task], Awaitable[Answer]]
"""The rest of the pipeline, as a stage sees it."""


class Stage(Protocol):
    """One step of the way. It wraps those after it: it may answer by itself, or proceed and look at the answer."""

    async def __call__(self, task: Task, proceed: Proceed) -> Answer:
        """Answer; raises ``ProviderError`` where no answer could be had."""
        ...
