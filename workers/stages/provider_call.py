"""The innermost stage: one call of one deployment."""

from collections.abc import Mapping

from shared.domain.answer_cache import CacheResult
from shared.domain.clock import Clock
from shared.domain.errors import ProviderError
from shared.domain.events import AttemptEnded, Emit
from shared.domain.job import Attempt
from shared.domain.providers import ProviderAnswer, ProviderClient
from shared.domain.routing import ClientKind, Deployment
from workers.task import Answer, Proceed, Task

SUCCEEDED = "succeeded"


class ProviderCall:
    """Calls the deployment that was decided on, once, and notes the attempt."""

    def __init__(self, clients: Mapping[ClientKind, ProviderClient], clock: Clock, emit: Emit) -> None:
        """``clients``: who speaks to the deployments of each kind."""
        self._clients = clients
        self._clock = clock
        self._emit = emit

    async def __call__(self, task: Task, proceed: Proceed) -> Answer:  # noqa: ARG002 - nothing comes after this stage
        """Call; raises ``ProviderError``, with the attempt noted in ``task.attempts``."""
        deployment = task.deployment
        if deployment is None:
            raise LookupError("no stage decided on a deployment")
        started_at = self._clock.now()
        try:
            answer = await self._clients[deployment.client].call(
                deployment, task.envelope.spec.endpoint, task.envelope.request
            )
        except ProviderError as error:
            self._note(task, deployment, started_at, error.code, error.message)
            raise
        self._note(task, deployment, started_at, SUCCEEDED)
        return _priced(answer, deployment, task)

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
        cost_usd=deployment.price.cost(answer.usage) if deployment.price and answer.usage else None,
        cache=CacheResult.MISS if task.envelope.spec.cache.mode.stores else CacheResult.OFF,
        rate_limit_headers=answer.rate_limit_headers,
    )
