from typing import Any

import pytest

from shared.domain.answer_cache import CacheKey
from shared.domain.catalog import Lane
from shared.domain.fingerprint import cache_key, fingerprint
from shared.domain.job import JobSpec
from shared.domain.lanes import Priority
from shared.domain.routing import ClientKind, Deployment, RoutingWish

REQUEST = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0}


def of(**changes: object) -> str:
    question: dict[str, Any] = {
        "team": "a",
        "endpoint": "/v1/chat/completions",
        "request": REQUEST,
        "served_models": ("openai/m",),
        "region": None,
        "namespace": "",
    }
    return fingerprint(**(question | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"team": "b"},
        {"endpoint": "/v1/embeddings"},
        {"served_models": ("openai/m-2",)},
        {"region": "eu"},
        {"namespace": "v2"},
        {"request": REQUEST | {"temperature": 1}},
        {"request": REQUEST | {"messages": [{"role": "user", "content": "Hi "}]}},
        {"request": REQUEST | {"tools": []}},
    ],
)
def test_whatever_changes_the_answer_changes_the_fingerprint(changes: dict[str, Any]) -> None:
    assert of(**changes) != of()


def test_the_order_of_members_and_who_asks_for_whom_do_not_matter() -> None:
    reordered = dict(reversed(REQUEST.items())) | {"user": "u-17", "stream": False, "model": "alias"}
    assert of(request=reordered) == of()


def test_a_region_is_the_same_however_its_letters_are_written() -> None:
    assert of(region="EU") == of(region="eu")


def test_a_job_that_must_stay_in_a_region_asks_only_the_models_there() -> None:
    def key(region: str | None, *places: tuple[str, str | None]) -> CacheKey:
        deployments = (
            Deployment(f"{number}", "m", model, ClientKind.HTTP, region=place)
            for number, (model, place) in enumerate(places)
        )
        spec = JobSpec(
            "job_1", "a", "/v1/chat/completions", "m", "m", Priority.STANDARD, 0.0, routing=RoutingWish(region)
        )
        return cache_key(spec, REQUEST, Lane("m", tuple(deployments)))

    here, elsewhere = ("openai/m", "eu-west-1"), ("openai/m-2", "us")
    assert key("eu", here, elsewhere) == key("eu", here)
    assert key("eu", here) != key("us", here, elsewhere)
    assert key(None, here) != key("eu", here)
    assert key(None, here) != key(None, here, elsewhere)


def test_a_lone_surrogate_has_a_fingerprint_too() -> None:
    assert len(of(request={"messages": "\ud800"})) == 64
