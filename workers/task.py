"""One run of a job through the worker's pipeline: what goes down, what comes up, and what a stage is."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Protocol, Self

from shared.domain.answer_cache import CacheResult
from shared.domain.catalog import Lane
from shared.domain.job import Attempt, Envelope, Json
from shared.domain.lanes import JobClass
from shared.domain.routing import Deployment
from shared.domain.usage import Usage


@dataclass(frozen=True, slots=True)
class Task:
    """What goes down the pipeline.

    job_class: the class it was taken from. fence: the claim's, which makes names of this run unique.
    deployment: where it is to be called, once that is decided.
    earlier: the attempts of earlier runs of this job.
    attempts: those of this run, in the order they ended; the stage that calls providers appends to it.
    """

    envelope: Envelope
    lane: Lane
    job_class: JobClass
    fence: int
    earlier: tuple[Attempt, ...] = ()
    attempts: list[Attempt] = field(default_factory=list)
    deployment: Deployment | None = None

    def on(self, deployment: Deployment) -> Self:
        """Give this task, to be called on ``deployment``."""
        return replace(self, deployment=deployment)

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
    """What comes up the pipeline.

    cost_usd: None where the price is not known. rate_limit_headers: the provider's, if it was asked.
    """

    response: Json
    served_by: str
    usage: Usage | None
    cost_usd: Decimal | None
    cache: CacheResult
    rate_limit_headers: Mapping[str, str] = field(default_factory=dict)


Proceed = Callable[[Task], Awaitable[Answer]]
"""The rest of the pipeline, as a stage sees it."""


class Stage(Protocol):
    """One step of the way. It wraps those after it: it may answer by itself, or proceed and look at the answer."""

    async def __call__(self, task: Task, proceed: Proceed) -> Answer:
        """Answer; raises ``ProviderError`` where no answer could be had."""
        ...
