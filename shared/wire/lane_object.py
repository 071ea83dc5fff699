"""A lane as a client sees it."""

from typing import Any

from shared.domain.lane_sight import LaneSight
from shared.domain.limit_state import LimitState
from shared.domain.rate_limit import Rates
from shared.domain.routing import Deployment
from shared.domain.throughput import Throughput, starts_per_s
from shared.wire.moments import format_moment


def render_lane(sight: LaneSight) -> dict[str, Any]:
    """Give the lane object: what waits, what its limits let through, and its deployments. Times are RFC 3339 in UTC."""
    throughputs = sight.throughputs
    return {
        "object": "lane",
        "lane": sight.lane.name,
        "paused": sight.is_paused,
        "depth": {
            job_class.name: {"ready": depth.ready, "unacknowledged": depth.unacknowledged}
            for job_class, depth in sight.depths.items()
        },
        "backlog": sight.backlog,
        "rate_per_second": {
            "requests": _sum([each.requests_per_s for each in throughputs]),
            "tokens": _sum([each.tokens_per_s for each in throughputs]),
            "jobs": _rounded(starts_per_s(throughputs, sight.tokens_per_job)),
        },
        "deployments": [
            _render_deployment(deployment, state, throughput, sight.at)
            for deployment, state, throughput in zip(sight.lane.deployments, sight.states, throughputs, strict=True)
        ],
    }


def _render_deployment(deployment: Deployment, state: LimitState, throughput: Throughput, now: float) -> dict[str, Any]:
    limits, rates = deployment.limits, Rates.of(deployment.limits)
    return {
        "id": deployment.id,
        "model": deployment.model,
        "region": deployment.region,
        "limits": {
            "rpm": limits.requests_per_minute,
            "tpm": limits.tokens_per_minute,
            "itpm": limits.input_tokens_per_minute,
            "otpm": limits.output_tokens_per_minute,
            "max_parallel_requests": limits.max_parallel_requests,
        },
        "in_flight": len(state.held),
        "utilisation": _utilisation(state, rates),
        "share": None if rates.is_unknown else _rounded(state.share),
        "closed_until": format_moment(throughput.opens_at) if throughput.opens_at > now else None,
        "breaker": state.circuit.state(state.at).value,
    }


def _utilisation(state: LimitState, rates: Rates) -> float | None:
    """Give the part of the limits that is used of late, of that which is used most; None: none is configured."""
    used = [
        max(0.0, flow) / rate
        for flow, rate in zip(state.flow, state.effective(rates), strict=True)
        if rate is not None and rate > 0
    ]
    if rates.is_unknown:
        used = []
    if rates.parallel:
        used.append(len(state.held) / rates.parallel)
    return _rounded(max(used)) if used else None


def _sum(rates: list[float | None]) -> float | None:
    """Add rates up; None: one of them is without bound, or not known."""
    known = [rate for rate in rates if rate is not None]
    return _rounded(sum(known)) if len(known) == len(rates) else None


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 4)
