"""The providers' limits, kept for the whole cluster: work waits here instead of being refused there.

This is the specification, in plain Python. ``shared/adapters/redis/lua/reserve_capacity.lua`` and its siblings do
the same where all workers meet; generated schedules must give equal answers from both.

A deployment has a bucket for each limit, refilled continuously: providers count in slices of about a
second, so a bucket holds half a second's worth, and the other half forgives uneven travel times. A bucket that is
missing is empty, so a store that lost its memory causes no burst. A cost larger than a whole bucket waits for
a full one and leaves a debt.

Work of a lower class leaves a share of each bucket to higher ones. Deferrable work also takes only what is idle: it is
granted nothing while other work had to wait a moment ago.

What the provider really allows is learned. Each refusal (429) closes the deployment for as long as the provider
asks, and cuts the rate; time restores it. Where no limit is configured the rate is found: it doubles
until the first refusal. Source of the scheme: additive increase, multiplicative decrease (Chiu and Jain,
"Analysis of the Increase and Decrease Algorithms for Congestion Avoidance in Computer Networks", 1989).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, Self

from shared.domain.circuit import BreakerPolicy, BreakerState, Circuit, Health
from shared.domain.routing import ConfiguredLimits, Deployment, RoutingStrategy

CAPACITY_S: Final = 0.5
"""Seconds' worth of a limit that a full bucket holds."""

CUT_AT_MOST_EVERY_S: Final = 0.2
"""Refusals of one overshoot arrive together; they cut once."""

MILDEST_CUT: Final = 0.97
FEWEST_COUNTED: Final = 10
"""A cut leaves the share of the calls that were not refused since the last cut, counted of at least this many."""

REGROWTH_PER_S: Final = 0.0025
"""The share of the configured rate that each second without refusal gives back."""

SMALLEST_SHARE: Final = 0.01

UNKNOWN_START_PER_S: Final = 10.0
"""Requests a second with which the search for an unknown limit begins."""

DOUBLING_S: Final = 1.0
"""Seconds in which the rate doubles while the limit is unknown and nothing was refused."""

FASTEST_SEARCH_PER_S: Final = 10_000.0
"""Requests a second beyond which no unknown limit is searched for."""

SHORTEST_REST_S: Final = 0.05
"""Seconds a refusing deployment rests when it does not say how long."""

PARALLEL_RECHECK_S: Final = 0.05
"""Seconds after which a full deployment is looked at again."""

LONGEST_WAIT_S: Final = 3_600.0
"""Seconds to wait for a limit of 0, which may be changed meanwhile."""

IDLE_AFTER_S: Final = 1.0
"""Seconds after the last time other work had to wait, after which capacity counts as idle."""

FLOW_S: Final = 10.0
"""Seconds over which the flow through a deployment is averaged."""

LATENCY_NEWS: Final = 0.1
"""The weight of one call in a deployment's average latency."""

RESERVATION_S: Final = 300.0
"""Seconds after which the reservation of a killed worker is forgotten, added to the deployment's own timeout."""

ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call takes of each limit. Tokens are an estimate before the call, the provider's counts after it."""

    requests: float = 1.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0

    @property
    def tokens(self) -> float:
        """Input and output together, as most providers count."""
        return self.input_tokens + self.output_tokens

    @property
    def amounts(self) -> tuple[float, float]:
        """Requests and tokens, in the order of ``Rates.per_second``."""
        return (self.requests, self.tokens)


NOTHING_TAKEN: Final = Cost(0.0)
"""What a call took that was never made."""


@dataclass(frozen=True, slots=True)
class Rates:
    """A deployment's limits. ``per_second``: requests and tokens; None: no such limit. ``parallel``: calls at once."""

    per_second: tuple[float | None, float | None]
    parallel: int | None = None

    @classmethod
    def of(cls, configured: ConfiguredLimits) -> Self:
        """Take them from the configuration."""
        minute = (configured.requests_per_minute, configured.tokens_per_minute)
        requests, tokens = (None if limit is None else limit / 60 for limit in minute)
        return cls((requests, tokens), configured.max_parallel_requests)

    @property
    def is_unknown(self) -> bool:
        """Whether nothing was configured, so that the limit must be found."""
        return self.per_second == (None, None)


@dataclass(frozen=True, slots=True)
class Sighting:
    """What an answer's headers say of the provider's own count, where they say it.

    per_second: the limits it enforces; remaining: what it has left now; both requests and tokens.
    """

    per_second: tuple[float | None, float | None] = (None, None)
    remaining: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True, slots=True)
class LimitState:
    """What is known of one deployment at a moment. Amounts are requests and tokens.

    at: the moment of the levels. levels: what the buckets hold; negative is a debt.
    share: the part of the configured rates that is used; where none are configured, requests a second.
    cut_at, cut_share: when a refusal last cut the share, and to what; 0: never.
    granted, refusals: reservations and refused calls since that cut.
    is_wanted: a reservation had to wait since the rate last grew; an unknown limit is searched for only then.
    contended_at: when work that does not ask for idle capacity last had to wait; 0: never.
    flow: requests and tokens a second that were granted of late.
    latency_s: of the calls of late, on average; 0: not known.
    circuit: the breaker.
    held: reservations, each with the moment it is forgotten, ``lifetime_s`` after it was granted.
    """

    at: float
    share: float
    levels: tuple[float, ...] = (0.0, 0.0)
    cut_at: float = 0.0
    cut_share: float = 0.0
    granted: int = 0
    refusals: int = 0
    closed_until: float = 0.0
    is_wanted: bool = False
    contended_at: float = 0.0
    flow: tuple[float, float] = (0.0, 0.0)
    latency_s: float = 0.0
    circuit: Circuit = field(default_factory=Circuit)
    held: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def missing(cls, rates: Rates, now: float) -> Self:
        """Give the state of a deployment that nothing is known of."""
        return cls(now, UNKNOWN_START_PER_S if rates.is_unknown else 1.0)

    def advanced(self, rates: Rates, now: float) -> Self:
        """Give the state at ``now``: buckets refilled, rate regrown, dead reservations forgotten."""
        passed = max(0.0, now - self.at)
        share, is_wanted = self._regrown(rates, passed)
        grown = replace(self, share=share, is_wanted=is_wanted)
        levels = tuple(
            level if rate is None else min(rate * CAPACITY_S, level + rate * passed)
            for level, rate in zip(self.levels, grown.effective(rates), strict=True)
        )
        held = {name: end for name, end in self.held.items() if end > now}
        fading = math.exp(-passed / FLOW_S)
        flow = (self.flow[0] * fading, self.flow[1] * fading)
        return replace(grown, at=max(now, self.at), levels=levels, flow=flow, held=held)

    def effective(self, rates: Rates) -> tuple[float | None, float | None]:
        """Give the rates that are used, a second."""
        if rates.is_unknown:
            return (self.share, None)
        requests, tokens = (None if rate is None else rate * self.share for rate in rates.per_second)
        return (requests, tokens)

    def breaker_wait_s(self, lifetime_s: float, now: float) -> float:
        """Give the seconds for which the breaker lets nothing through, 0 for none."""
        since_opening = sum(self.circuit.knows(end - lifetime_s) for end in self.held.values())
        return self.circuit.wait_s(since_opening, now)

    def wait_s(self, rates: Rates, wish: "Wish", now: float) -> float:
        """Give the seconds until the limits let the wish be reserved, 0 for now; of a state at ``now``."""
        cost, kept = wish.cost, wish.kept
        waits = [max(0.0, self.closed_until - now)]
        if rates.parallel is not None and len(self.held) >= _left_of(rates.parallel, kept):
            return max(PARALLEL_RECHECK_S, *waits)
        if wish.only_idle:
            waits.append(max(0.0, self.contended_at + IDLE_AFTER_S - now))
        for level, rate, amount in zip(self.levels, self.effective(rates), cost.amounts, strict=True):
            if rate is None:
                continue
            capacity = rate * CAPACITY_S
            missing = min(amount + kept * capacity, capacity) - level
            if missing > ROUNDING * max(1.0, amount):
                waits.append(min(missing / rate, LONGEST_WAIT_S) if rate > 0 else LONGEST_WAIT_S)
            elif rate == 0:
                waits.append(LONGEST_WAIT_S)
        return max(waits)

    def reserved(self, rates: Rates, name: str, cost: Cost, expires_at: float) -> Self:
        """Give the state after the reservation ``name`` was granted."""
        taken = self._moved(rates, cost.amounts, -1.0, held={**self.held, name: expires_at})
        return replace(taken, granted=self.granted + 1, flow=_added(self.flow, cost.amounts))

    def waiting(self, wish: "Wish", now: float) -> Self:
        """Give the state after a reservation had to wait for the limits."""
        return replace(self, is_wanted=True, contended_at=self.contended_at if wish.only_idle else now)

    def settled(self, terms: "Terms", name: str, estimate: Cost, actual: Cost, end: "CallEnd", now: float) -> Self:
        """Give the state after the call of a reservation; a second settling changes nothing."""
        if name not in self.held:
            return self
        granted_at = self.held[name] - terms.lifetime_s
        held = {other: ends for other, ends in self.held.items() if other != name}
        requests, tokens = (before - after for before, after in zip(estimate.amounts, actual.amounts, strict=True))
        corrected = self._corrected(terms.rates, end.seen)
        moved = corrected._moved(terms.rates, (requests, tokens), 1.0, held)  # noqa: SLF001 - a state of its own kind
        return replace(
            moved,
            flow=_added(self.flow, (-requests, -tokens)),
            latency_s=self._averaged(now - granted_at) if end.was_answered else self.latency_s,
            circuit=self.circuit.after(end.health, granted_at, terms.breaker, now),
        )

    def refused(self, terms: "Terms", name: str, retry_after_s: float, now: float) -> Self:
        """Give the state after the provider refused the call of a reservation (429) at ``now``."""
        held = {other: end for other, end in self.held.items() if other != name}
        closed_until = max(self.closed_until, now + max(retry_after_s, SHORTEST_REST_S))
        closed = replace(self, held=held, closed_until=closed_until, refusals=self.refusals + 1)
        if name in self.held:  # who counts calls is alive
            granted_at = self.held[name] - terms.lifetime_s
            closed = replace(closed, circuit=self.circuit.after(Health.GOOD, granted_at, terms.breaker, now))
        return closed if now - self.cut_at < CUT_AT_MOST_EVERY_S else closed._cut(now)  # noqa: SLF001 - a state of its own kind

    def _cut(self, now: float) -> Self:
        left = min(MILDEST_CUT, 1 - self.refusals / max(self.granted, FEWEST_COUNTED, self.refusals))
        share = max(SMALLEST_SHARE, self.share * left)
        levels = tuple(min(0.0, level) for level in self.levels)
        return replace(self, share=share, cut_at=now, cut_share=share, granted=0, refusals=0, levels=levels)

    def _regrown(self, rates: Rates, passed: float) -> tuple[float, bool]:
        if not rates.is_unknown:
            return min(1.0, self.share + REGROWTH_PER_S * passed), self.is_wanted
        if self.cut_at:
            return self.share + self.cut_share * REGROWTH_PER_S * passed, self.is_wanted
        if self.is_wanted and passed > 0:
            return min(FASTEST_SEARCH_PER_S, self.share * 2 ** (min(passed, 1.0) / DOUBLING_S)), False
        return self.share, self.is_wanted

    def _corrected(self, rates: Rates, seen: Sighting) -> Self:
        share = self.share
        for configured, enforced in zip(rates.per_second, seen.per_second, strict=True):
            if configured and enforced is not None:
                share = max(SMALLEST_SHARE, min(share, enforced / configured))
        levels = tuple(
            level if left is None else min(level, left) for level, left in zip(self.levels, seen.remaining, strict=True)
        )
        return replace(self, share=share, levels=levels)

    def _averaged(self, latency_s: float) -> float:
        return self.latency_s + LATENCY_NEWS * (latency_s - self.latency_s) if self.latency_s else latency_s

    def _moved(self, rates: Rates, amounts: tuple[float, float], sign: float, held: Mapping[str, float]) -> Self:
        levels = tuple(
            level if rate is None else min(rate * CAPACITY_S, level + sign * amount)
            for level, rate, amount in zip(self.levels, self.effective(rates), amounts, strict=True)
        )
        return replace(self, levels=levels, held=held)


@dataclass(frozen=True, slots=True)
class Terms:
    """What is fixed of a deployment. ``lifetime_s``: seconds after which a reservation that nobody settled is forgotten."""

    rates: Rates
    breaker: BreakerPolicy
    lifetime_s: float

    @classmethod
    def of(cls, deployment: Deployment, breaker: BreakerPolicy) -> Self:
        """Give those of a deployment whose lane has this breaker."""
        return cls(Rates.of(deployment.limits), breaker, RESERVATION_S + deployment.timeout_s)


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How a call ended.

    health: what it says of the deployment. was_answered: there was an answer, so its latency counts.
    seen: what its headers say of the provider's own count.
    """

    health: Health
    was_answered: bool = False
    seen: Sighting = Sighting()


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


def _left_of(parallel: int, kept: float) -> int:
    """Give the calls at once that are left to those who must leave the share ``kept``: one at least, if there is one."""
    return min(parallel, max(1, math.floor(parallel * (1 - kept) + ROUNDING)))


def _added(flow: tuple[float, float], amounts: tuple[float, float]) -> tuple[float, float]:
    return (flow[0] + amounts[0] / FLOW_S, flow[1] + amounts[1] / FLOW_S)


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
class Wish:
    """What a call asks for: a name of its own, its estimated cost, and what it must leave to others.

    kept: the share of every limit that must be left for higher classes. only_idle: nothing that others wait for.
    """

    name: str
    cost: Cost
    kept: float = 0.0
    only_idle: bool = False


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

    async def settle(self, reservation: Reservation, actual: Cost, end: CallEnd) -> BreakerState | None:
        """Note what the call really took and how it ended; give the breaker's new state if that changed it."""
        ...

    async def refuse(self, reservation: Reservation, retry_after_s: float) -> None:
        """Note that the provider refused the call (429); its breaker takes that for a sign of life."""
        ...

    async def look(self, lane: str, deployments: tuple[Deployment, ...]) -> tuple[LimitState, ...]:
        """Give what is known of each deployment now, in order; changes nothing."""
        ...
