"""Which deployment of a lane gets a call."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from shared.domain.randomness import Uniform
from shared.domain.usage import Price

OPENAI_API_BASE: Final = "https://api.openai.com/v1"
"""Where a deployment of OpenAI's is called if nothing else is said."""


class RoutingStrategy(StrEnum):
    """In which order the deployments of a lane are asked for capacity. Lower ``order`` always goes first."""

    SIMPLE_SHUFFLE = "simple-shuffle"
    """By chance, in proportion to their weights."""
    LEAST_BUSY = "least-busy"
    """The one with the fewest calls under way in the whole cluster."""
    LATENCY = "latency-based-routing"
    """The one that answered fastest of late."""
    COST = "cost-based-routing"
    """The cheapest."""


@dataclass(frozen=True, slots=True)
class RoutingWish:
    """What a job asks of its routing.

    region: only deployments there may serve it; fallbacks included.
    fallbacks: models to try after its own, instead of the configured ones; None: those of the configuration.
    """

    region: str | None = None
    fallbacks: tuple[str, ...] | None = None


class ClientKind(StrEnum):
    """Which client speaks to a deployment: our thin one for the OpenAI wire, or LiteLLM."""

    HTTP = "http"
    LITELLM = "litellm"


@dataclass(frozen=True, slots=True)
class ConfiguredLimits:
    """A deployment's limits, for the whole cluster; None: not configured.

    tokens_per_minute: input and output together. Some providers count them apart.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    input_tokens_per_minute: int | None = None
    output_tokens_per_minute: int | None = None
    max_parallel_requests: int | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """One credential for one model at one provider.

    id: a short stable name, shown to clients; it contains no secret.
    model: the provider's name of the model, with LiteLLM's provider prefix (``openai/gpt-4o-mini``).
    timeout_s: seconds one call may take.
    weight: its share among the deployments of the same ``order``; lower orders go first.
    extra: further parameters of the LiteLLM configuration, passed to ``acompletion``.
    """

    id: str
    lane: str
    model: str
    client: ClientKind
    api_base: str | None = None
    api_key: str | None = field(default=None, repr=False)
    timeout_s: float = 120.0
    weight: float = 1.0
    order: int = 1
    region: str | None = None
    price: Price | None = None
    limits: ConfiguredLimits = ConfiguredLimits()
    extra: dict[str, Any] = field(default_factory=dict, repr=False)


def serves_region(deployment: Deployment, region: str | None) -> bool:
    """Tell whether a job that must stay in ``region`` (None: anywhere) may be served by the deployment.

    A region includes its parts: ``eu`` takes ``eu`` and ``eu-west-1``. A deployment without a region serves only jobs
    that do not ask for one.
    """
    if region is None:
        return True
    place = (deployment.region or "").lower()
    return place == region.lower() or place.startswith(f"{region.lower()}-")


def ranked(deployments: Sequence[Deployment], strategy: RoutingStrategy, uniform: Uniform) -> tuple[Deployment, ...]:
    """Put the deployments that may be called in order, the best first: lower ``order`` first, and within it by strategy.

    By cost that is the cheaper one, those without a known price last. Otherwise it is LiteLLM's simple-shuffle, by chance
    and weight; by load and by latency, which only the store knows of the whole cluster, it decides among equals.
    """
    shuffled = _shuffled(list(deployments), uniform)
    if strategy is RoutingStrategy.COST:
        return tuple(sorted(shuffled, key=lambda deployment: (deployment.order, *_dearness(deployment))))
    return shuffled


def _dearness(deployment: Deployment) -> tuple[bool, Decimal]:
    price = deployment.price
    return (True, Decimal(0)) if price is None else (False, price.input_per_token + price.output_per_token)


def _shuffled(left: list[Deployment], uniform: Uniform) -> tuple[Deployment, ...]:
    ranking: list[Deployment] = []
    while left:
        first = min(deployment.order for deployment in left)
        drawn = _drawn([deployment for deployment in left if deployment.order == first], uniform)
        left.remove(drawn)
        ranking.append(drawn)
    return tuple(ranking)


def _drawn(candidates: list[Deployment], uniform: Uniform) -> Deployment:
    point = uniform(0.0, sum(candidate.weight for candidate in candidates))
    for candidate in candidates:
        point -= candidate.weight
        if point < 0:
            return candidate
    return candidates[-1]
