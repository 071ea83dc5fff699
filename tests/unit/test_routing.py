import random
from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest

from shared.domain.limit_state import LimitState
from shared.domain.reservations import asking_order
from shared.domain.routing import ClientKind, Deployment, RoutingStrategy, ranked, serves_region
from shared.domain.usage import Price


def deployment(name: str, weight: float = 1, order: int = 1, price: str | None = None) -> Deployment:
    own = None if price is None else Price(Decimal(price), Decimal(price))
    return Deployment(name, "m", "openai/m", ClientKind.HTTP, weight=weight, order=order, price=own)


def test_calls_are_spread_by_weight() -> None:
    uniform = random.Random(7).uniform
    pair = (deployment("a", 3), deployment("b", 1))
    served = Counter(ranked(pair, RoutingStrategy.SIMPLE_SHUFFLE, uniform)[0].id for _ in range(4_000))
    assert 2_800 < served["a"] < 3_200


@pytest.mark.parametrize("strategy", RoutingStrategy)
def test_a_higher_order_comes_after_all_lower_ones(strategy: RoutingStrategy) -> None:
    deployments = (deployment("spare", order=2, price="0.1"), deployment("first", order=1, price="0.2"))
    assert [each.id for each in ranked(deployments, strategy, random.uniform)] == ["first", "spare"]


def test_by_cost_the_cheapest_goes_first_and_the_unknown_price_last() -> None:
    deployments = (deployment("unknown"), deployment("dear", price="0.3"), deployment("cheap", price="0.1"))
    order = ranked(deployments, RoutingStrategy.COST, random.uniform)
    assert [each.id for each in order] == ["cheap", "dear", "unknown"]


def _state(calls: int, latency_s: float) -> LimitState:
    return LimitState(0.0, 1.0, latency_s=latency_s, held={f"call-{number}": 1.0 for number in range(calls)})


def test_by_load_the_one_with_the_fewest_calls_is_asked_first() -> None:
    states = [_state(5, 0.1), _state(2, 0.9), _state(3, 0.1)]
    assert asking_order(RoutingStrategy.LEAST_BUSY, [1, 1, 1], states) == [1, 2, 0]


def test_by_latency_the_fastest_is_asked_first_and_the_unmeasured_before_it() -> None:
    states = [_state(0, 0.5), _state(9, 0.2), _state(0, 0.0)]
    assert asking_order(RoutingStrategy.LATENCY, [1, 1, 1], states) == [2, 1, 0]


def test_no_load_and_no_latency_puts_a_higher_order_first() -> None:
    states = [_state(0, 0.1), _state(99, 9.0)]
    for strategy in RoutingStrategy:
        assert asking_order(strategy, [2, 1], states) == [1, 0]


@pytest.mark.parametrize(("region", "wanted"), [("eu", "eu"), ("eu-west-1", "EU"), (None, None), ("us", None)])
def test_a_region_takes_in_its_parts(region: str | None, wanted: str | None) -> None:
    assert serves_region(replace(deployment("a"), region=region), wanted)


@pytest.mark.parametrize(("region", "wanted"), [("europe", "eu"), ("us", "eu"), (None, "eu"), ("eu", "eu-west-1")])
def test_a_region_takes_in_nothing_else(region: str | None, wanted: str) -> None:
    assert not serves_region(replace(deployment("a"), region=region), wanted)


def test_a_deployment_never_shows_its_key() -> None:
    shown = repr(Deployment("a", "m", "openai/m", ClientKind.HTTP, api_key="sk-canary", extra={"token": "sk-canary"}))
    assert "canary" not in shown
