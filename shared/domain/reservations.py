"""The right to call: who asks for it, what answers there are, and the port to where all workers meet."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.domain.circuit import BreakerPolicy, BreakerState
from shared.domain.limit_state import LimitState
from shared.domain.rate_limit import CallEnd, Cost, Wish
from shared.domain.routing import Deployment, RoutingStrategy


@dataclass(frozen=True, slots=True)
class Reservation:
    """The right to make one call of one deployment. ``name`` makes repeating a lost request harmless.

    is_probe: it is the one call by which a breaker finds out whether the deployment is back.
    """

    name: str
    lane: str
    deployment: Deployment
    breaker: BreakerPolicy
    cost: Cost
    is_probe: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """No candidate has capacity; the first will in ``seconds``, if nobody else takes it.

    is_down: the breakers of all of them let nothing through, so it is no matter of limits.
    """

    seconds: float
    is_down: bool = False


@dataclass(frozen=True, slots=True)
class Candidates:
    """The deployments of a lane that would do for a call, the best first, and in which order they are asked."""

    lane: str
    deployments: tuple[Deployment, ...]
    strategy: RoutingStrategy = RoutingStrategy.SIMPLE_SHUFFLE
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)


class RateLimits(Protocol):
    """The port to the limits of all deployments. Each call is one atomic step, by the store's own clock."""

    async def reserve(self, candidates: Candidates, wish: Wish) -> Reservation | Wait:
        """Reserve on the first of the candidates (in their asking order) that has capacity now."""
        ...

    async def renew(self, reservation: Reservation) -> bool:
        """Hold on to a reservation whose call is under way still; give whether there was one to hold on to.

        One that was settled, refused or forgotten is not held again.
        """
        ...

    async def settle(self, reservation: Reservation, actual: Cost, end: CallEnd) -> BreakerState | None:
        """Note what the call really took and how it ended; give the breaker's new state if that changed it."""
        ...

    async def refuse(self, reservation: Reservation, retry_after_s: float) -> None:
        """Note that the provider refused the call (429); its breaker takes that for a sign of life."""
        ...

    async def look(self, lane: str, deployments: tuple[Deployment, ...]) -> tuple[LimitState, ...]:
        """Give what is known of each deployment now, in order; changes nothing."""
        ...


def asking_order(strategy: RoutingStrategy, orders: Sequence[int], states: Sequence[LimitState]) -> list[int]:
    """Give the places of the candidates in the order in which they are asked for capacity.

    The candidates come as the worker ranked them (by chance and weight, or by price), lower ``orders`` first. By load or by
    latency they are ranked here, where everybody's calls are known; who was never measured goes first, to be measured.
    """

    def metric(state: LimitState) -> float:
        if strategy is RoutingStrategy.LEAST_BUSY:
            return len(state.held)
        return state.latency_s if strategy is RoutingStrategy.LATENCY else 0.0

    return sorted(range(len(states)), key=lambda place: (orders[place], metric(states[place]), place))
