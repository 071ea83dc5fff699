"""Listings, a page at a time: where a page begins, and how it is shown."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.domain import ids
from shared.domain.errors import InvalidInput

_LONGEST_QUOTE: Final = 40


def require_cursor(after: str | None, prefix: str, what: str) -> None:
    """Raise ``InvalidInput`` for an ``after`` that is no id with that prefix; ``what``: the thing it must be an id of."""
    if after is not None and not ids.is_id(prefix, after):
        raise InvalidInput(
            f"`after` must be the id of a {what}, such as `last_id` of the page before; found `{after[:_LONGEST_QUOTE]}`.",
            param="after",
        )


def page_of(data: Sequence[Mapping[str, Any]], next_after: str | None) -> dict[str, Any]:
    """Give a page of objects that have an ``id``; ``next_after``: where the next one begins, None: there is none."""
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": next_after is not None,
        "next_after": next_after,
    }
