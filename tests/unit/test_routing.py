import random
from collections import Counter

from shared.domain.routing import ClientKind, Deployment, ranked


def deployment(name: str, weight: float = 1, order: int = 1) -> Deployment:
    return Deployment(name, "m", "openai/m", ClientKind.HTTP, weight=weight, order=order)


def test_calls_are_spread_by_weight() -> None:
    uniform = random.Random(7).uniform
    served = Counter(ranked([deployment("a", 3), deployment("b", 1)], set(), uniform)[0].id for _ in range(4_000))
    assert 2_800 < served["a"] < 3_200


def test_a_higher_order_is_used_only_when_the_lower_ones_failed() -> None:
    deployments = [deployment("spare", order=2), deployment("first", order=1)]
    assert ranked(deployments, set(), random.uniform)[0].id == "first"
    assert ranked(deployments, {"first"}, random.uniform)[0].id == "spare"


def test_when_all_failed_all_are_candidates_again() -> None:
    assert ranked([deployment("only")], {"only"}, random.uniform)[0].id == "only"


def test_a_deployment_never_shows_its_key() -> None:
    shown = repr(Deployment("a", "m", "openai/m", ClientKind.HTTP, api_key="sk-canary", extra={"token": "sk-canary"}))
    assert "canary" not in shown
