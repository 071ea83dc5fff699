"""Whether the process is alive, and whether it can take work."""

import asyncio
from collections.abc import Awaitable
from typing import Final

from fastapi import APIRouter, Response

from producer_api.endpoints.answers import json_response
from producer_api.parts import ApiParts
from producer_api.schemas import ERRORS, Health
from shared.domain.errors import Unavailable
from shared.domain.tenants import DEFAULT_TEAM

PATIENCE_S: Final = 2.5
"""Seconds in which a server has to answer."""

_NO_JOB: Final = f"job_{'0' * 26}"


def router(parts: ApiParts) -> APIRouter:
    """Give the two routes that need no key."""
    routes = APIRouter(tags=["health"])

    @routes.get("/healthz", responses={200: {"model": Health}})
    async def is_alive() -> Response:
        """Answer."""
        return json_response({"status": "ok"})

    @routes.get("/readyz", responses={200: {"model": Health}, **ERRORS})
    async def is_ready() -> Response:
        """Answer if the broker and the store do."""
        answered = await asyncio.gather(_answers(parts.queue.ping()), _answers(parts.store.get(DEFAULT_TEAM, _NO_JOB)))
        away = [name for name, is_there in zip(("the broker", "the store"), answered, strict=True) if not is_there]
        if away:
            raise Unavailable(f"Not ready: {' and '.join(away)} cannot be reached.")
        return json_response({"status": "ok"})

    return routes


async def _answers(question: Awaitable[object]) -> bool:
    try:
        await asyncio.wait_for(question, PATIENCE_S)
    except (Unavailable, TimeoutError):
        return False
    return True
