"""The providers' limits as a stage: a call is made only when there is capacity for it, and settled afterwards."""

import random
from collections.abc import Mapping
from contextlib import suppress

from shared.domain.errors import ProviderError, RateLimited, StoreUnavailable
from shared.domain.lanes import Priority
from shared.domain.rate_limit import Cost, RateLimits, Reservation, Sighting, Wish
from shared.domain.routing import ranked
from shared.domain.sightings import sighting
from shared.domain.token_estimate import TokenEstimator
from workers.quota_gate import Applicant, QuotaGate
from workers.room import Room
from workers.task import Answer, Proceed, Task


class Capacity:
    """Reserves on the best deployment that has capacity; gives back what was not used."""

    def __init__(
        self,
        limits: RateLimits,
        gates: Mapping[str, QuotaGate],
        rooms: Mapping[str, Room],
        interactive_reserve: float,
    ) -> None:
        """``gates``, ``rooms``: of each lane. ``interactive_reserve``: the share of every limit left to such work."""
        self._limits = limits
        self._gates = gates
        self._rooms = rooms
        self._interactive_reserve = interactive_reserve
        self._estimator = TokenEstimator()

    async def __call__(self, task: Task, proceed: Proceed) -> Answer:
        """Wait for a reservation, proceed with its deployment, settle; raises ``LaneBlocked`` where the wait is long."""
        reservation = await self._gates[task.lane.name].pass_through(self._applicant(task))
        self._rooms[task.envelope.spec.lane].leave(task.envelope.spec.id)
        try:
            answer = await proceed(task.on(reservation.deployment))
        except RateLimited as error:
            with suppress(StoreUnavailable):
                await self._limits.refuse(reservation, error.retry_after_s or 0.0)
            raise
        except BaseException as error:
            await self._settle(reservation, _taken_in_vain(reservation, error), Sighting())
            raise
        await self._settle(reservation, self._taken(task, reservation, answer), sighting(answer.rate_limit_headers))
        return answer

    def _applicant(self, task: Task) -> Applicant:
        spec = task.envelope.spec
        kept = 0.0 if spec.priority is Priority.INTERACTIVE else self._interactive_reserve
        cost = self._estimator.cost(task.lane.name, task.envelope.request)
        name = f"{spec.id}/{task.fence}"
        candidates = ranked(task.lane.deployments, task.tried, random.uniform)
        return Applicant(spec.id, task.job_class, candidates, Wish(name, cost, kept))

    def _taken(self, task: Task, reservation: Reservation, answer: Answer) -> Cost:
        if answer.usage is None:
            return reservation.cost
        self._estimator.learn(task.lane.name, task.envelope.request, answer.usage)
        return Cost(1.0, answer.usage.input_tokens, answer.usage.output_tokens)

    async def _settle(self, reservation: Reservation, taken: Cost, seen: Sighting) -> None:
        with suppress(StoreUnavailable):  # the reservation ends by itself; an answer must not be lost for it
            await self._limits.settle(reservation, taken, seen)


def _taken_in_vain(reservation: Reservation, error: BaseException) -> Cost:
    """What a failed call took: by our knowledge its request and its input, by a cancelled one all that was estimated."""
    if isinstance(error, ProviderError):
        return Cost(1.0, reservation.cost.input_tokens)
    return reservation.cost
