import pytest

from shared.domain.catalog import Catalog, Lane
from shared.domain.errors import UnknownModel
from shared.domain.routing import ClientKind, Deployment

LANE = Lane("gpt-4o", (Deployment("a", "gpt-4o", "openai/gpt-4o", ClientKind.HTTP),))
CATALOG = Catalog({"gpt-4o": LANE}, aliases={"gpt-4": "gpt-4o"})


def test_a_model_is_found_by_its_name_and_by_its_alias() -> None:
    assert CATALOG.lane("gpt-4o") is CATALOG.lane("gpt-4") is LANE


def test_an_unknown_model_is_named_together_with_the_likeliest_one() -> None:
    with pytest.raises(UnknownModel, match=r"`gpt-4p` does not exist here\. Did you mean `gpt-4"):
        CATALOG.lane("gpt-4p")
