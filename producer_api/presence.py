"""Work that is done only as long as something does not happen: its client leaves, the server is to stop."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

Result = TypeVar("Result")


async def while_present(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """Give the result of ``work``, whose client's whole body was received.

    Raises:
        ClientDisconnect: the client went away first; ``work`` was broken off.
    """
    try:
        return await unless(_leave(receive), work)
    except Overtaken:
        raise ClientDisconnect from None


class Overtaken(Exception):
    """Something else happened first."""


async def unless(happening: Coroutine[Any, Any, object], work: Coroutine[Any, Any, Result]) -> Result:
    """Give the result of ``work``.

    Raises:
        Overtaken: ``happening`` ended first; ``work`` was broken off.
    """
    working = asyncio.create_task(work)
    waiting = asyncio.create_task(happening)
    try:
        await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Overtaken
        return working.result()
    finally:
        for task in (working, waiting):
            task.cancel()
        await asyncio.gather(working, waiting, return_exceptions=True)


async def _leave(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
