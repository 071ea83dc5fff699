"""Which wishes for its routing a job may have."""

from typing import Final

import pytest
from hypothesis import given

from producer_api.routing_wishes import check_wish
from shared.domain.catalog import Catalog, FailureKind, Fallbacks, Lane
from shared.domain.errors import InvalidInput, UnknownModel
from shared.domain.routing import RoutingWish
from tests.unit.test_catalog import REGIONS, catalog, catalogs, lane

FIRST: Final = lane("a", "eu-west-1", None, fallbacks=Fallbacks(("b",), context_window=("c",)))
MODELS: Final = catalog(FIRST, lane("b", "us"), lane("c", "ap"), lane("d"), alias="b")


def refusal(wish: RoutingWish, first: Lane = FIRST) -> InvalidInput:
    with pytest.raises(InvalidInput) as raised:
        check_wish(MODELS, first, wish)
    return raised.value


@pytest.mark.parametrize(
    "wish",
    [
        RoutingWish(),
        RoutingWish("eu"),
        RoutingWish("us"),
        RoutingWish("ap", ("c", "b")),
        RoutingWish(fallbacks=()),
        RoutingWish("EU", ("alias", "d")),
    ],
)
def test_a_wish_that_some_deployment_can_keep_is_taken(wish: RoutingWish) -> None:
    check_wish(MODELS, FIRST, wish)


def test_a_fallback_that_does_not_exist_is_named_by_its_place_and_the_likeliest_one() -> None:
    error = refusal(RoutingWish(fallbacks=("b", "allias")))
    assert isinstance(error, UnknownModel)
    assert error.param == "routing.fallbacks[1]"
    assert "Did you mean `alias`?" in error.message


@pytest.mark.parametrize(("fallbacks", "path"), [(("a",), "[0]"), (("b", "alias"), "[1]")])
def test_a_model_is_tried_once(fallbacks: tuple[str, ...], path: str) -> None:
    error = refusal(RoutingWish(fallbacks=fallbacks))
    assert error.param == f"routing.fallbacks{path}"
    assert "is tried before it" in error.message


@pytest.mark.parametrize("wish", [RoutingWish("ap"), RoutingWish("mars", ("b",)), RoutingWish("eu-west-2")])
def test_a_region_in_which_nothing_may_serve_the_job_is_refused_with_those_there_are(wish: RoutingWish) -> None:
    error = refusal(wish)
    assert (error.param, error.error_code) == ("routing.region", "region_not_available")
    assert error.message.endswith("They are in: `eu-west-1`, `us`.")


def test_where_nothing_names_a_region_that_is_said() -> None:
    error = refusal(RoutingWish("eu", ()), lane("d"))
    assert error.message.endswith("None of them names one.")


@given(catalogs(), REGIONS)
def test_a_job_is_taken_exactly_if_something_may_serve_it_in_its_region(models: Catalog, region: str | None) -> None:
    wish = RoutingWish(region)
    for first in models.lanes.values():
        way = (first, *models.chain(first, FailureKind.GENERAL, wish))
        if any(following.serving(region) for following in way):
            check_wish(models, first, wish)
        else:
            with pytest.raises(InvalidInput, match="have a deployment there"):
                check_wish(models, first, wish)
