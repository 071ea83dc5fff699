"""The walk as a stage: one deployment after the other, then one fallback model after the other, until somebody answers."""

from typing import Final

from shared.domain.catalog import Catalog, FailureKind, Lane
from shared.domain.events import Emit, FellBack
from shared.domain.job import Attempt
from shared.domain.provider_errors import (
    ContentRefused,
    ContextWindowExceeded,
    NoAttemptsLeft,
    ProviderError,
    RateLimited,
    StreamBroken,
)
from shared.domain.routing import Deployment
from workers.quota_gate import LONG_WAIT_S, LaneBlocked
from workers.task import Answer, NobodyAnswered, Proceed, Task

NOTHING_LET_THROUGH: Final = "nothing_let_through"
"""Why a job goes on to another model though its own did not fail it."""


class Fallbacks:
    """Calls each deployment at most once in a run, of each model in the chain.

    A model whose limits leave nothing just now is waited for; one that is down, or closed for long, is left out.
    """

    def __init__(self, catalog: Catalog, emit: Emit) -> None:
        """``catalog`` knows the chains."""
        self._catalog = catalog
        self._emit = emit

    async def __call__(self, task: Task, proceed: Proceed) -> Answer:
        """Give the first answer.

        Raises:
            NobodyAnswered: all have failed or were left out, and one of them at least was called; or an answer broke off
                after its first pieces were passed on.
            LaneBlocked: nobody was called, because nothing is let through for a while.
        """
        walk = _Walk(task, self._catalog)
        lane = task.lane
        while True:
            try:
                return await _call_some_of(lane, walk, proceed)
            except StreamBroken as error:  # half an answer was shown, so nobody may begin another one
                raise NobodyAnswered(error, may_come_back=False) from None
            except ProviderError as error:
                walk.failed(lane, error)
                following, reason = walk.after(lane, error), error.code
            except LaneBlocked as blocked:
                walk.was_blocked(lane, blocked)
                following, reason = walk.next_lane(FailureKind.GENERAL), NOTHING_LET_THROUGH
            if following is None:
                raise walk.outcome()
            self._emit(FellBack(task.envelope.spec.id, task.lane.name, following.name, reason))
            lane = following


async def _call_some_of(lane: Lane, walk: "_Walk", proceed: Proceed) -> Answer:
    last: ProviderError = NoAttemptsLeft()
    has_alternative = walk.next_lane(FailureKind.GENERAL, besides=lane) is not None
    while candidates := walk.candidates(lane):
        try:
            return await proceed(walk.task.among(lane, candidates, has_alternative=has_alternative))
        except ProviderError as error:
            if not error.elsewhere_may_help:
                raise
            last = error
        except LaneBlocked:
            if not isinstance(last, NoAttemptsLeft):
                walk.failed(lane, last)
            raise
    raise last


class _Walk:
    """Where a job has been in this run, and where it can go."""

    def __init__(self, task: Task, catalog: Catalog) -> None:
        self.task = task
        self._catalog = catalog
        self._errors: list[tuple[Lane, ProviderError]] = []
        self._blocks: list[tuple[Lane, LaneBlocked]] = []

    def failed(self, lane: Lane, error: ProviderError) -> None:
        self._errors.append((lane, error))

    def was_blocked(self, lane: Lane, blocked: LaneBlocked) -> None:
        self._blocks.append((lane, blocked))

    def candidates(self, lane: Lane) -> tuple[Deployment, ...]:
        """Give the deployments of a lane that may be called still; none if the job's attempts there are used up."""
        if not lane.retry.allows(_on(lane, self.task)):
            return ()
        called = {attempt.deployment for attempt in self.task.attempts}
        serving = lane.serving(self.task.envelope.spec.routing.region)
        return tuple(deployment for deployment in serving if deployment.id not in called)

    def after(self, lane: Lane, error: ProviderError) -> Lane | None:
        """Give the model to go on to after a failure."""
        waits_for_its_limit = isinstance(error, RateLimited) and (error.retry_after_s or 0.0) <= LONG_WAIT_S
        if waits_for_its_limit or not (error.elsewhere_may_help or isinstance(error, NoAttemptsLeft)):
            return None
        return self.next_lane(_kind(error), besides=lane)

    def next_lane(self, kind: FailureKind, besides: Lane | None = None) -> Lane | None:
        been = {lane.name for lane, _ in (*self._errors, *self._blocks)} | ({besides.name} if besides else set())
        chain = self._catalog.chain(self.task.lane, kind, self.task.envelope.spec.routing)
        return next((lane for lane in chain if lane.name not in been and self.candidates(lane)), None)

    def outcome(self) -> NobodyAnswered | LaneBlocked:
        """Give what became of the whole walk."""
        if not self.task.attempts and self._blocks:
            return min((blocked for _, blocked in self._blocks), key=lambda blocked: blocked.seconds)
        failures = [failure for _, failure in self._errors if not isinstance(failure, NoAttemptsLeft)]
        error = failures[0] if failures else NoAttemptsLeft()
        may_come_back = bool(self._blocks) or any(
            failure.time_may_help and lane.retry.allows(_on(lane, self.task)) for lane, failure in self._errors
        )
        return NobodyAnswered(error, may_come_back=may_come_back)


def _on(lane: Lane, task: Task) -> tuple[Attempt, ...]:
    """Give all attempts of the job on a lane."""
    ids = {deployment.id for deployment in lane.deployments}
    return tuple(attempt for attempt in task.all_attempts if attempt.deployment in ids)


def _kind(error: ProviderError) -> FailureKind:
    if isinstance(error, ContextWindowExceeded):
        return FailureKind.CONTEXT_WINDOW
    return FailureKind.CONTENT_POLICY if isinstance(error, ContentRefused) else FailureKind.GENERAL
