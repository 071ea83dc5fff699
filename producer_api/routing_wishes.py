"""Whether what a job wishes of its routing can be had here."""

from collections.abc import Iterable

from shared.domain.catalog import Catalog, FailureKind, Lane
from shared.domain.errors import InvalidInput, UnknownModel
from shared.domain.routing import RoutingWish


def check_wish(catalog: Catalog, lane: Lane, wish: RoutingWish) -> None:
    """Refuse what no deployment could keep.

    Raises:
        UnknownModel: there is no such fallback.
        InvalidInput: a model would follow itself; nothing that may serve the job is in its region.
    """
    _check_fallbacks(catalog, lane, wish.fallbacks or ())
    _check_region(catalog, lane, wish)


def _check_fallbacks(catalog: Catalog, lane: Lane, models: Iterable[str]) -> None:
    seen = {lane.name}
    for index, model in enumerate(models):
        path = f"routing.fallbacks[{index}]"
        try:
            following = catalog.lane(model)
        except UnknownModel as error:
            raise UnknownModel(error.message, param=path) from None
        if following.name in seen:
            raise InvalidInput(f"`{path}` is a model that is tried before it; name each model once.", param=path)
        seen.add(following.name)


def _check_region(catalog: Catalog, lane: Lane, wish: RoutingWish) -> None:
    if lane.serving(wish.region) or catalog.chain(lane, FailureKind.GENERAL, wish):
        return
    anywhere = RoutingWish(fallbacks=wish.fallbacks)
    candidates = (lane, *catalog.chain(lane, FailureKind.GENERAL, anywhere))
    regions = sorted({place.region for candidate in candidates for place in candidate.deployments if place.region})
    there = f"They are in: {', '.join(f'`{region}`' for region in regions)}." if regions else "None of them names one."
    raise InvalidInput(
        f"`routing.region`: neither the model nor its fallbacks have a deployment there. {there}",
        param="routing.region",
        code="region_not_available",
    )
