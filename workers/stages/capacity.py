"""The providers' limits as a stage: a call is made only when there is capacity for it, and settled afterwards."""

import asyncio
import random
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Final

from shared.domain.circuit import Health
from shared.domain.class_shares import ClassShares, Restraint
from shared.domain.clock import Clock
from shared.domain.lanes import JobClass
from shared.domain.provider_errors import ProviderError, RateLimited, StreamBroken
from shared.domain.rate_limit import CallEnd, Cost, Wish
from shared.domain.reservations import Candidates, Reservation
from shared.domain.routing import ranked
from shared.domain.sightings import sighting
from shared.domain.token_estimate import TokenEstimator
from workers.call_ends import CallEnds
from workers.quota_gate import LONG_WAIT_S, Applicant, QuotaGate
from workers.renewals import Renewals
from workers.rests import fetched_at_most_s
from workers.room import Room
from workers.task import Answer, Proceed, Task

NOT_IDLE_REST_S: Final = 30.0
"""Seconds for which a worker takes no more of a deferrable class that found nothing idle."""


class NothingIdle(Exception):
    """Deferrable work waited in vain for capacity that nobody else wants."""

    def __init__(self, job_class: JobClass, seconds: float) -> None:
        """``seconds``: after which to look again."""
        super().__init__(f"nothing idle for {job_class.name}")
        self.job_class = job_class
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class LimitParts:
    """What the stage works with.

    gates, rooms: of each lane. shares: what each class leaves to others. ends: who is told how calls ended.
    renewals: of the reservations of calls that stream, which may last long.
    """

    gates: Mapping[str, QuotaGate]
    rooms: Mapping[str, Room]
    shares: ClassShares
    clock: Clock
    ends: CallEnds
    renewals: Renewals
    estimator: TokenEstimator = field(default_factory=TokenEstimator)


class Capacity:
    """Reserves on the best candidate that has capacity; gives back what was not used."""

    def __init__(self, parts: LimitParts) -> None:
        """Use the gates of all lanes of this worker."""
        self._parts = parts

    async def __call__(self, task: Task, proceed: Proceed) -> Answer:
        """Wait for a reservation, proceed with its deployment, settle.

        Raises:
            LaneBlocked: the wait is long, or the candidates are down and the job has an alternative.
            NothingIdle: the job is deferrable, and all is in use.
            ProviderError: the call failed.
        """
        reservation = await self._reserve(task)
        spec = task.envelope.spec
        self._parts.rooms[spec.lane].leave(spec.id)
        try:
            async with self._parts.renewals.held(reservation) if spec.streams else nullcontext():
                answer = await proceed(task.on(reservation.deployment, is_probe=reservation.is_probe))
        except RateLimited as error:
            await self._parts.ends.refuse(reservation, error.retry_after_s or 0.0)
            raise
        except BaseException as error:
            await self._parts.ends.settle(reservation, _taken_in_vain(reservation, error), CallEnd(_health(error)))
            raise
        seen = sighting(answer.rate_limit_headers)
        end = CallEnd(Health.GOOD, was_answered=True, seen=seen, held_up_s=answer.held_up_s)
        await self._parts.ends.settle(reservation, self._taken(task, reservation, answer), end)
        return answer

    async def _reserve(self, task: Task) -> Reservation:
        restraint = self._parts.shares.restraint(task.job_class, self._parts.clock.now())
        waiting = self._parts.gates[task.lane.name].pass_through(self._applicant(task, restraint))
        if not restraint.only_idle:
            return await waiting
        try:
            # In this worker's hands its window's end cannot move it to where it is as urgent as it is then.
            async with asyncio.timeout(min(LONG_WAIT_S, fetched_at_most_s(task.job_class))):
                return await waiting
        except TimeoutError:
            raise NothingIdle(task.job_class, NOT_IDLE_REST_S) from None

    def _applicant(self, task: Task, restraint: Restraint) -> Applicant:
        lane = task.lane
        cost = self._parts.estimator.cost(lane.name, task.envelope.request)
        name = f"{task.envelope.spec.id}/{task.fence}/{len(task.attempts)}"
        order = ranked(task.candidates, lane.strategy, random.uniform)
        return Applicant(
            task.job_class,
            Candidates(lane.name, order, lane.strategy, lane.breaker),
            Wish(name, cost, restraint.kept, restraint.only_idle),
            task.has_alternative,
        )

    def _taken(self, task: Task, reservation: Reservation, answer: Answer) -> Cost:
        if answer.usage is None:
            return reservation.cost
        self._parts.estimator.learn(task.lane.name, task.envelope.request, answer.usage)
        return Cost(1.0, answer.usage.input_tokens, answer.usage.output_tokens)


def _taken_in_vain(reservation: Reservation, error: BaseException) -> Cost:
    """What a failed call took.

    By our knowledge its request and its input, and what came of an answer that broke off; one that was cancelled took all
    that was estimated.
    """
    if isinstance(error, StreamBroken) and error.spent is not None:
        return Cost(1.0, error.spent.usage.input_tokens, error.spent.usage.output_tokens)
    if isinstance(error, ProviderError):
        return Cost(1.0, reservation.cost.input_tokens)
    return reservation.cost


def _health(error: BaseException) -> Health:
    if not isinstance(error, ProviderError):
        return Health.UNKNOWN
    return Health.BAD if error.is_deployments_fault else Health.GOOD
