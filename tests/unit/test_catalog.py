from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.catalog import Catalog, FailureKind, Fallbacks, Lane
from shared.domain.errors import UnknownModel
from shared.domain.routing import ClientKind, Deployment, RoutingWish

GENERAL: Final = FailureKind.GENERAL
ANYTHING: Final = RoutingWish()


def lane(name: str, *regions: str | None, fallbacks: Fallbacks | None = None) -> Lane:
    """Give a lane with a deployment in each of the regions; one without a region if none is named."""
    deployments = tuple(
        Deployment(f"{name}-{number}", name, f"openai/{name}", ClientKind.HTTP, region=region)
        for number, region in enumerate(regions or (None,))
    )
    return Lane(name, deployments, fallbacks=fallbacks or Fallbacks())


def catalog(*lanes: Lane, **aliases: str) -> Catalog:
    return Catalog({lane.name: lane for lane in lanes}, aliases)


def names(lanes: tuple[Lane, ...]) -> list[str]:
    return [lane.name for lane in lanes]


LANE: Final = lane("gpt-4o")
CATALOG: Final = Catalog({"gpt-4o": LANE}, aliases={"gpt-4": "gpt-4o"})


def test_a_model_is_found_by_its_name_and_by_its_alias() -> None:
    assert CATALOG.lane("gpt-4o") is CATALOG.lane("gpt-4") is LANE


def test_an_unknown_model_is_named_together_with_the_likeliest_one() -> None:
    with pytest.raises(UnknownModel, match=r"`gpt-4p` does not exist here\. Did you mean `gpt-4"):
        CATALOG.lane("gpt-4p")


def test_a_lane_is_followed_by_its_configured_fallbacks() -> None:
    first = lane("a", fallbacks=Fallbacks(("c", "b")))
    assert names(catalog(first, lane("b"), lane("c")).chain(first, GENERAL, ANYTHING)) == ["c", "b"]


def test_a_special_failure_has_its_own_chain() -> None:
    first = lane("a", fallbacks=Fallbacks(("b",), context_window=("c",), content_policy=()))
    models = catalog(first, lane("b"), lane("c"))
    assert names(models.chain(first, FailureKind.CONTEXT_WINDOW, ANYTHING)) == ["c"]
    assert names(models.chain(first, FailureKind.CONTENT_POLICY, ANYTHING)) == []


@pytest.mark.parametrize("kind", FailureKind)
def test_a_special_failure_without_a_chain_of_its_own_goes_the_general_way(kind: FailureKind) -> None:
    first = lane("a", fallbacks=Fallbacks(("b",)))
    assert names(catalog(first, lane("b")).chain(first, kind, ANYTHING)) == ["b"]


@pytest.mark.parametrize("kind", FailureKind)
def test_a_jobs_own_wish_takes_the_place_of_every_configured_chain(kind: FailureKind) -> None:
    first = lane("a", fallbacks=Fallbacks(("b",), ("b",), ("b",)))
    models = catalog(first, lane("b"), lane("c"), other="c")
    assert names(models.chain(first, kind, RoutingWish(fallbacks=("other", "gone", "c", "a")))) == ["c"]
    assert names(models.chain(first, kind, RoutingWish(fallbacks=()))) == []


def test_a_fallback_without_a_deployment_in_the_jobs_region_is_passed_over() -> None:
    first = lane("a", "eu", fallbacks=Fallbacks(("b", "c", "d")))
    models = catalog(first, lane("b", "us"), lane("c", "us", "eu-west-1"), lane("d"))
    assert names(models.chain(first, GENERAL, RoutingWish("eu"))) == ["c"]


def test_of_a_lane_in_several_regions_only_the_deployments_in_the_jobs_serve_it() -> None:
    spread = lane("a", "us", "eu", None, "eu-west-1")
    assert [deployment.region for deployment in spread.serving("eu")] == ["eu", "eu-west-1"]
    assert spread.serving(None) == spread.deployments


REGIONS: Final = st.sampled_from([None, "eu", "EU", "eu-west-1", "europe", "us", "us-east-1"])
NAMES: Final = st.sampled_from("abcdef")
SOME_NAMES: Final = st.lists(NAMES, max_size=6).map(tuple)
SPECIAL: Final = st.none() | SOME_NAMES


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    made = [
        lane(
            name,
            *draw(st.lists(REGIONS, min_size=1, max_size=3)),
            fallbacks=Fallbacks(*draw(st.tuples(SOME_NAMES, SPECIAL, SPECIAL))),
        )
        for name in draw(st.lists(NAMES, min_size=1, unique=True))
    ]
    return catalog(*made, other=draw(NAMES))


@given(catalogs(), st.sampled_from(FailureKind), REGIONS, st.none() | SOME_NAMES)
def test_no_deployment_in_any_chain_is_outside_the_jobs_region(
    models: Catalog, kind: FailureKind, region: str | None, wished: tuple[str, ...] | None
) -> None:
    for first in models.lanes.values():
        chain = models.chain(first, kind, RoutingWish(region, wished))
        assert len({first.name, *names(chain)}) == len(chain) + 1, "a lane comes twice"
        for following in chain:
            candidates = following.serving(region)
            assert candidates
            for deployment in candidates:
                assert region is None or f"{deployment.region}-".lower().startswith(f"{region}-".lower())
