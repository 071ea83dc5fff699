"""The innermost stage: one call of one deployment."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from shared.domain.answer_cache import CacheResult
from shared.domain.clock import Clock
from shared.domain.events import AttemptEnded, Emit
from shared.domain.job import Attempt
from shared.domain.provider_errors import ProviderError, StreamBroken
from shared.domain.providers import ProviderAnswer, ProviderClient, Spent
from shared.domain.routing import ClientKind, Deployment
from shared.domain.token_estimate import TokenEstimator
from shared.domain.usage import Usage
from workers.answer_stream import TimedPassage
from workers.task import BROKEN_OFF, Answer, Proceed, Task

SUCCEEDED = "succeeded"


class ProviderCall:
    """Calls the deployment that was decided on, once, and notes the attempt."""

    def __init__(
        self, clients: Mapping[ClientKind, ProviderClient], estimator: TokenEstimator, clock: Clock, emit: Emit
    ) -> None:
        """``clients``: who speaks to the deployments of each kind; ``estimator`` counts where a provider did not."""
        self._clients = clients
        self._estimator = estimator
        self._clock = clock
        self._emit = emit

    async def __call__(self, task: Task, proceed: Proceed) -> Answer:  # noqa: ARG002 - nothing comes after this stage
        """Call, and pass the pieces on if the job streams; the attempt is noted in ``task.attempts``.

        Raises:
            StreamBroken: pieces were passed on, and then it failed; with what that used and cost in ``spent``.
            ProviderError: it failed.
        """
        deployment = task.deployment
        if deployment is None:
            raise LookupError("no stage decided on a deployment")
        started_at = self._clock.now()
        passage = TimedPassage(task.stream, self._clock)
        try:
            answer = await self._answer(task, deployment, passage)
        except ProviderError as error:
            self._note(task, deployment, started_at, error.code, error.message)
            raise self._with_what_was_spent(error, task, deployment) from None
        except asyncio.CancelledError:
            self._note(task, deployment, started_at, BROKEN_OFF)
            raise
        self._note(task, deployment, started_at, SUCCEEDED)
        return replace(_priced(answer, deployment, task), held_up_s=passage.held_up_s)

    async def _answer(self, task: Task, deployment: Deployment, passage: TimedPassage) -> ProviderAnswer:
        client, spec, request = self._clients[deployment.client], task.envelope.spec, task.envelope.request
        if spec.streams:
            return await client.stream(deployment, spec.endpoint, request, passage.send)
        return await client.call(deployment, spec.endpoint, request)

    def _with_what_was_spent(self, error: ProviderError, task: Task, deployment: Deployment) -> ProviderError:
        if not isinstance(error, StreamBroken) or error.partial is None:
            return error
        partial = error.partial
        usage = partial.usage or self._estimator.usage(task.lane.name, task.envelope.request, partial.body)
        spent = Spent(usage, _cost(deployment, usage), deployment.id)
        return StreamBroken(error.message, status=error.status, partial=partial, spent=spent)

    def _note(
        self, task: Task, deployment: Deployment, started_at: float, outcome: str, message: str | None = None
    ) -> None:
        ended_at = self._clock.now()
        task.attempts.append(Attempt(deployment.id, started_at, ended_at, outcome, message, task.is_probe))
        spec = task.envelope.spec
        self._emit(AttemptEnded(spec.id, spec.lane, deployment.id, outcome, ended_at - started_at))


def _priced(answer: ProviderAnswer, deployment: Deployment, task: Task) -> Answer:
    return Answer(
        response=answer.body,
        served_by=deployment.id,
        usage=answer.usage,
        cost_usd=_cost(deployment, answer.usage),
        cache=CacheResult.MISS if task.envelope.spec.cache.mode.stores else CacheResult.OFF,
        rate_limit_headers=answer.rate_limit_headers,
    )


def _cost(deployment: Deployment, usage: Usage | None) -> Decimal | None:
    return deployment.price.cost(usage) if deployment.price and usage else None
