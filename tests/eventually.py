"""Waiting for a condition that another process brings about, with an end."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

T = TypeVar("T")

_LOOK_AGAIN_S: Final = 0.02


async def eventually(look: Callable[[], Awaitable[T]], within_s: float = 30.0) -> T:
    """Look until what is seen is truthy, and give it; fail with the last sight after ``within_s`` seconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within_s
    while not (seen := await look()):
        if loop.time() >= end:
            raise AssertionError(f"not within {within_s} s; last seen: {seen!r}")
        await asyncio.sleep(_LOOK_AGAIN_S)
    return seen
