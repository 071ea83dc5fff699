"""The first of what a server lists in pages."""

from collections.abc import AsyncIterator
from typing import TypeVar

T = TypeVar("T")


async def first_of(items: AsyncIterator[T], count: int) -> list[T]:
    """Give at most ``count`` items (at least 1), without asking for more than that."""
    found: list[T] = []
    async for item in items:
        found.append(item)
        if len(found) == count:
            break
    return found
