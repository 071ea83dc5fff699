"""One run of a job through the worker's pipeline: what goes down, what comes up, and what a stage is."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final, Protocol, Self

from shared.domain.answer_cache import CacheResult
from shared.domain.answer_streams import AnswerWriter
from shared.domain.catalog import Lane
from shared.domain.job import Attempt, Envelope, Json
from shared.domain.lanes import JobClass
from shared.domain.provider_errors import ProviderError
from shared.domain.routing import Deployment
from shared.domain.usage import Usage
from workers.answer_stream import NOBODY_READS

BROKEN_OFF: Final = "cancelled"
"""The outcome of a call that was broken off: its job was cancelled, or its time was over, or the worker is to stop."""


@dataclass(frozen=True, slots=True)
class Task:
    """What goes down the pipeline.

    lane: of the model that is to answer: the one asked for, or a fallback.
    job_class: the class it was taken from. fence: the claim's, which makes names of this run unique.
    candidates: the deployments of the lane that may be called now.
    has_alternative: others may be called if none of these lets the job through.
    deployment: where it is to be called, once that is decided; is_probe: to find out whether that is back.
    earlier: the attempts of earlier runs of this job.
    attempts: those of this run, in the order they ended; the stage that calls providers appends to it.
    stream: where the pieces of its answer go, if it is one that streams.
    """

    envelope: Envelope
    lane: Lane
    job_class: JobClass
    fence: int
    candidates: tuple[Deployment, ...] = ()
    has_alternative: bool = False
    deployment: Deployment | None = None
    is_probe: bool = False
    earlier: tuple[Attempt, ...] = ()
    attempts: list[Attempt] = field(default_factory=list)
    stream: AnswerWriter = NOBODY_READS

    def among(self, lane: Lane, candidates: tuple[Deployment, ...], *, has_alternative: bool) -> Self:
        """Give this task, to be called on one of the ``candidates``."""
        return replace(self, lane=lane, candidates=candidates, has_alternative=has_alternative)

    def on(self, deployment: Deployment, *, is_probe: bool) -> Self:
        """Give this task, to be called on ``deployment``."""
        return replace(self, deployment=deployment, is_probe=is_probe)

    @property
    def all_attempts(self) -> tuple[Attempt, ...]:
        """Those of earlier runs and of this one."""
        return (*self.earlier, *self.attempts)

    @property
    def failed_attempts(self) -> tuple[Attempt, ...]:
        """Those of this run without what was broken off: it is nobody's failure, and another worker begins anew."""
        return tuple(attempt for attempt in self.attempts if attempt.outcome != BROKEN_OFF)


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes up the pipeline.

    cost_usd: None where the price is not known. rate_limit_headers: the provider's, if it was asked.
    held_up_s: seconds for which its call waited for who reads the answer while it is made.
    """

    response: Json
    served_by: str
    usage: Usage | None
    cost_usd: Decimal | None
    cache: CacheResult
    rate_limit_headers: Mapping[str, str] = field(default_factory=dict)
    held_up_s: float = 0.0


class NobodyAnswered(Exception):
    """Every deployment that would do has failed the job in this run, or was left out."""

    def __init__(self, error: ProviderError, *, may_come_back: bool) -> None:
        """``error``: of the model that was asked for. ``may_come_back``: a later run may succeed, and is allowed."""
        super().__init__(error.code)
        self.error = error
        self.may_come_back = may_come_back


Proceed = Callable[[Task], Awaitable[Answer]]
"""The rest of the pipeline, as a stage sees it."""


class Stage(Protocol):
    """One step of the way. It wraps those after it: it may answer by itself, or proceed and look at the answer."""

    async def __call__(self, task: Task, proceed: Proceed) -> Answer:
        """Answer; raises ``ProviderError`` where no answer could be had."""
        ...
