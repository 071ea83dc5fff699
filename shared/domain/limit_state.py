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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self

from shared.domain.circuit import Circuit, Health
from shared.domain.rate_limit import Amounts, CallEnd, Cost, Rates, Sighting, SomeAmounts, Terms, Wish

NOTHING: Final[Amounts] = (0.0, 0.0, 0.0, 0.0)

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

ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class LimitState:
    """What is known of one deployment at a moment. Amounts and rates are of each of ``KINDS``.

    at: the moment of the levels. levels: what the buckets hold; negative is a debt.
    share: the part of the configured rates that is used; where none are configured, requests a second.
    cut_at, cut_share: when a refusal last cut the share, and to what; 0: never.
    granted, refusals: reservations and refused calls since that cut.
    is_wanted: a reservation had to wait since the rate last grew; an unknown limit is searched for only then.
    contended_at: when work that does not ask for idle capacity last had to wait; 0: never.
    flow: what was granted a second of late.
    latency_s: of the calls of late, on average; 0: not known.
    circuit: the breaker.
    held: reservations, each with the moment it is forgotten, ``lifetime_s`` after it was granted or last renewed.
    begun: of those that were renewed, the moment each was granted.
    """

    at: float
    share: float
    levels: Amounts = NOTHING
    cut_at: float = 0.0
    cut_share: float = 0.0
    granted: int = 0
    refusals: int = 0
    closed_until: float = 0.0
    is_wanted: bool = False
    contended_at: float = 0.0
    flow: Amounts = NOTHING
    latency_s: float = 0.0
    circuit: Circuit = field(default_factory=Circuit)
    held: Mapping[str, float] = field(default_factory=dict)
    begun: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def missing(cls, rates: Rates, now: float) -> Self:
        """Give the state of a deployment that nothing is known of."""
        return cls(now, UNKNOWN_START_PER_S if rates.is_unknown else 1.0)

    def advanced(self, rates: Rates, now: float) -> Self:
        """Give the state at ``now``: buckets refilled, rate regrown, dead reservations forgotten."""
        passed = max(0.0, now - self.at)
        share, is_wanted = self._regrown(rates, passed)
        grown = replace(self, share=share, is_wanted=is_wanted)
        levels = _each(
            level if rate is None else min(rate * CAPACITY_S, level + rate * passed)
            for level, rate in zip(self.levels, grown.effective(rates), strict=True)
        )
        held = {name: end for name, end in self.held.items() if end > now}
        fading = math.exp(-passed / FLOW_S)
        flow = _each(amount * fading for amount in self.flow)
        begun = {name: moment for name, moment in self.begun.items() if name in held}
        return replace(grown, at=max(now, self.at), levels=levels, flow=flow, held=held, begun=begun)

    def effective(self, rates: Rates) -> SomeAmounts:
        """Give the rates that are used, a second."""
        if rates.is_unknown:
            return (self.share, None, None, None)
        requests, tokens, inputs, outputs = (None if rate is None else rate * self.share for rate in rates.per_second)
        return (requests, tokens, inputs, outputs)

    def breaker_wait_s(self, lifetime_s: float, now: float) -> float:
        """Give the seconds for which the breaker lets nothing through, 0 for none."""
        return self.circuit.wait_s((self._granted_at(name, lifetime_s) for name in self.held), now)

    def wait_s(self, rates: Rates, wish: Wish, now: float) -> float:
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
        taken = self._moved(rates, cost.amounts, -1.0)
        held = {**self.held, name: expires_at}
        return replace(taken, held=held, granted=self.granted + 1, flow=_added(self.flow, cost.amounts))

    def renewed(self, terms: Terms, name: str, now: float) -> Self:
        """Give the state after the call of a reservation was seen to be under way still, at ``now``.

        What is not held, because it was settled or is forgotten, is not held again.
        """
        if name not in self.held:
            return self
        begun = {**self.begun, name: self._granted_at(name, terms.lifetime_s)}
        return replace(self, held={**self.held, name: now + terms.lifetime_s}, begun=begun)

    def waiting(self, wish: Wish, now: float) -> Self:
        """Give the state after a reservation had to wait for the limits."""
        return replace(self, is_wanted=True, contended_at=self.contended_at if wish.only_idle else now)

    def settled(self, terms: Terms, name: str, estimate: Cost, actual: Cost, end: CallEnd, now: float) -> Self:
        """Give the state after the call of a reservation; a second settling changes nothing."""
        if name not in self.held:
            return self
        granted_at = self._granted_at(name, terms.lifetime_s)
        unused = _each(before - after for before, after in zip(estimate.amounts, actual.amounts, strict=True))
        corrected = self._without(name)._corrected(terms.rates, end.seen)  # noqa: SLF001 - a state of its own kind
        latency_s = max(0.0, now - granted_at - end.held_up_s)
        return replace(
            corrected._moved(terms.rates, unused, 1.0),  # noqa: SLF001 - a state of its own kind
            flow=_added(self.flow, _each(-amount for amount in unused)),
            latency_s=self._averaged(latency_s) if end.was_answered else self.latency_s,
            circuit=self.circuit.after(end.health, granted_at, terms.breaker, now),
        )

    def refused(self, terms: Terms, name: str, retry_after_s: float, now: float) -> Self:
        """Give the state after the provider refused the call of a reservation (429) at ``now``.

        A refusal that was told before changes nothing.
        """
        if name not in self.held:
            return self
        granted_at = self._granted_at(name, terms.lifetime_s)
        closed_until = max(self.closed_until, now + max(retry_after_s, SHORTEST_REST_S))
        circuit = self.circuit.after(Health.GOOD, granted_at, terms.breaker, now)  # who counts calls is alive
        closed = replace(self._without(name), closed_until=closed_until, refusals=self.refusals + 1, circuit=circuit)
        return closed if now - self.cut_at < CUT_AT_MOST_EVERY_S else closed._cut(now)  # noqa: SLF001 - a state of its own kind

    def _cut(self, now: float) -> Self:
        left = min(MILDEST_CUT, 1 - self.refusals / max(self.granted, FEWEST_COUNTED, self.refusals))
        share = max(SMALLEST_SHARE, self.share * left)
        levels = _each(min(0.0, level) for level in self.levels)
        return replace(self, share=share, cut_at=now, cut_share=share, granted=0, refusals=0, levels=levels)

    def _regrown(self, rates: Rates, passed: float) -> tuple[float, bool]:
        if not rates.is_unknown:
            return min(1.0, self.share + REGROWTH_PER_S * passed), self.is_wanted
        if not self.is_wanted or passed <= 0:
            return self.share, self.is_wanted  # what was learned is not forgotten while nobody asks
        counted = min(passed, 1.0)
        if self.cut_at:
            grown = self.share + self.cut_share * REGROWTH_PER_S * counted
        else:
            grown = self.share * 2 ** (counted / DOUBLING_S)
        return min(FASTEST_SEARCH_PER_S, grown), False

    def _corrected(self, rates: Rates, seen: Sighting) -> Self:
        share = self.share
        for configured, enforced in zip(rates.per_second, seen.per_second, strict=True):
            if configured and enforced is not None:
                share = max(SMALLEST_SHARE, min(share, enforced / configured))
        levels = _each(
            level if left is None else min(level, left) for level, left in zip(self.levels, seen.remaining, strict=True)
        )
        return replace(self, share=share, levels=levels)

    def _averaged(self, latency_s: float) -> float:
        return self.latency_s + LATENCY_NEWS * (latency_s - self.latency_s) if self.latency_s else latency_s

    def _granted_at(self, name: str, lifetime_s: float) -> float:
        return self.begun.get(name, self.held[name] - lifetime_s)

    def _without(self, name: str) -> Self:
        held = {other: end for other, end in self.held.items() if other != name}
        begun = {other: moment for other, moment in self.begun.items() if other != name}
        return replace(self, held=held, begun=begun)

    def _moved(self, rates: Rates, amounts: Amounts, sign: float) -> Self:
        levels = _each(
            level if rate is None else min(rate * CAPACITY_S, level + sign * amount)
            for level, rate, amount in zip(self.levels, self.effective(rates), amounts, strict=True)
        )
        return replace(self, levels=levels)


def _left_of(parallel: int, kept: float) -> int:
    """Give the calls at once that are left to those who must leave the share ``kept``: one at least, if there is one."""
    return min(parallel, max(1, math.floor(parallel * (1 - kept) + ROUNDING)))


def _added(flow: Amounts, amounts: Amounts) -> Amounts:
    return _each(before + amount / FLOW_S for before, amount in zip(flow, amounts, strict=True))


def _each(amounts: Iterable[float]) -> Amounts:
    requests, tokens, inputs, outputs = amounts
    return (requests, tokens, inputs, outputs)
