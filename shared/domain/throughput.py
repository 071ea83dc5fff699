"""How fast the deployments of a lane can start calls, from now on: the pace at which its backlog goes down."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from shared.domain.circuit import BreakerState
from shared.domain.limit_state import LimitState
from shared.domain.rate_limit import Amounts, Rates
from shared.domain.routing import Deployment

LEAST_FLOW_PER_S: Final = 0.1
"""Requests a second below which the flow is too thin to tell what a call takes."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """What one deployment lets through from ``opens_at`` (seconds since the epoch) on.

    requests_per_s, tokens_per_s: None where there is no such limit, or nothing is known of it yet.
    parallel: calls at once; None: any number. in_flight: calls under way.
    latency_s: what a call takes on average; tokens_per_call: what calls took of late; None: not measured.
    apart_per_s: calls a second that limits of input and output tokens let through; None: none, or not measured.
    """

    requests_per_s: float | None
    tokens_per_s: float | None
    opens_at: float
    parallel: int | None = None
    in_flight: int = 0
    latency_s: float | None = None
    tokens_per_call: float | None = None
    apart_per_s: float | None = None

    @classmethod
    def of(cls, deployment: Deployment, state: LimitState, now: float) -> Self:
        """Read it off a deployment's limits. ``now`` is the caller's time; the state's own may be another clock's."""
        rates = Rates.of(deployment.limits)
        requests, tokens, *apart = state.effective(rates)
        if rates.is_unknown and not state.cut_at:
            requests = None  # it is still being searched for, far below what it may be
        return cls(
            requests,
            tokens,
            now + _closed_s(state),
            rates.parallel,
            len(state.held),
            state.latency_s or None,
            _per_call(state.flow, state.flow[1]),
            _pace_of_tokens_apart(state.flow, apart),
        )

    def starts_per_s(self, tokens_per_job: float) -> float | None:
        """Give the calls a second, if they take that many tokens where none were measured; None: not known."""
        paces = [self.requests_per_s, self.apart_per_s]
        tokens = self.tokens_per_call or tokens_per_job
        if self.tokens_per_s is not None and tokens > 0:
            paces.append(self.tokens_per_s / tokens)
        if self.parallel is not None and self.latency_s:
            paces.append(self.parallel / self.latency_s)
        known = [pace for pace in paces if pace is not None]
        return min(known) if known else None


def _closed_s(state: LimitState) -> float:
    """Give the seconds until a call may be tried, by what the provider asked for and by the breaker."""
    is_open = state.circuit.state(state.at) is BreakerState.OPEN
    return max(0.0, state.closed_until - state.at, state.circuit.open_until - state.at if is_open else 0.0)


def _per_call(flow: Amounts, of_a_kind: float) -> float | None:
    return of_a_kind / flow[0] if flow[0] >= LEAST_FLOW_PER_S and of_a_kind > 0 else None


def _pace_of_tokens_apart(flow: Amounts, rates: Sequence[float | None]) -> float | None:
    """Give the calls a second that limits of input and output tokens let through; None: there are none, or none measured."""
    amounts = [_per_call(flow, of_a_kind) for of_a_kind in flow[2:]]
    paces = [rate / amount for rate, amount in zip(rates, amounts, strict=True) if rate is not None and amount]
    return min(paces, default=None)


def starts_per_s(throughputs: Sequence[Throughput], tokens_per_job: float) -> float | None:
    """Give the pace of all deployments together once all are open; None: one of them is not known."""
    paces = [throughput.starts_per_s(tokens_per_job) for throughput in throughputs]
    return None if None in paces else sum(pace for pace in paces if pace is not None)


def moment_of_start(throughputs: Sequence[Throughput], tokens_per_job: float, starts_before: float) -> float | None:
    """Give the moment of the start that comes after ``starts_before`` others; None: not known, or never.

    Each deployment joins in when it opens, so the pace changes at those moments and is even between them.
    """
    if not starts_per_s(throughputs, tokens_per_job):
        return None
    done = pace = 0.0
    moment = min(throughput.opens_at for throughput in throughputs)
    for throughput in sorted(throughputs, key=lambda each: each.opens_at):
        until_it_opens = pace * (throughput.opens_at - moment)
        if pace > 0 and done + until_it_opens >= starts_before:
            break
        done += until_it_opens
        moment = throughput.opens_at
        pace += throughput.starts_per_s(tokens_per_job) or 0.0
    return moment + (starts_before - done) / pace
