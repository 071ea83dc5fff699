"""The lanes: what waits in them, what their limits let through; pausing and resuming them."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request, Response

from producer_api.authentication import Authentication
from producer_api.endpoints.answers import json_response
from producer_api.lane_schemas import LaneList, LaneObject
from producer_api.outlooks import Outlooks
from producer_api.parts import ApiParts
from producer_api.schemas import ERRORS
from shared.domain.catalog import Lane
from shared.domain.errors import NotFound, UnknownModel
from shared.domain.lane_sight import LaneSight
from shared.domain.tenants import Scope
from shared.wire.lane_object import render_lane

AT_ONCE: Final = 8
"""Lanes that one request looks at together."""

Name = Annotated[str, Path(description="A lane's name, or another name of its model; slashes need no escaping.")]


def router(parts: ApiParts, authentication: Authentication, outlooks: Outlooks) -> APIRouter:
    """Give the routes under ``/v1/lanes``."""
    routes = APIRouter(prefix="/v1/lanes", tags=["lanes"], responses=ERRORS)
    lanes = _Lanes(parts, outlooks)

    @routes.get("", responses={200: {"model": LaneList}})
    async def list_lanes(request: Request) -> Response:
        """Give every lane as it is seen now; what is shown may be a second old."""
        await authentication.principal(request)
        sights = await lanes.sights(list(parts.catalog.lanes.values()))
        return json_response({"object": "list", "data": [render_lane(sight) for sight in sights]})

    @routes.post("/{lane:path}/pause", responses={200: {"model": LaneObject}})
    async def pause_lane(request: Request, lane: Name) -> Response:
        """Have no job of a lane started any more, for an administrator; running ones go on, and new ones are taken in."""
        return await switched(request, lane, is_paused=True)

    @routes.post("/{lane:path}/resume", responses={200: {"model": LaneObject}})
    async def resume_lane(request: Request, lane: Name) -> Response:
        """Have the jobs of a lane started again, for an administrator."""
        return await switched(request, lane, is_paused=False)

    @routes.get("/{lane:path}", responses={200: {"model": LaneObject}})
    async def get_lane(request: Request, lane: Name) -> Response:
        """Give a lane as it is seen now; what is shown may be a second old."""
        await authentication.principal(request)
        [sight] = await lanes.sights([lanes.named(lane)])
        return json_response(render_lane(sight))

    async def switched(request: Request, name: str, *, is_paused: bool) -> Response:
        await authentication.principal(request, Scope.ADMIN)
        return json_response(render_lane(await lanes.switched(lanes.named(name), is_paused=is_paused)))

    return routes


class _Lanes:
    """Finds lanes, looks at them, switches them."""

    def __init__(self, parts: ApiParts, outlooks: Outlooks) -> None:
        self._parts = parts
        self._outlooks = outlooks
        self._turns = asyncio.Semaphore(AT_ONCE)

    def named(self, name: str) -> Lane:
        try:
            return self._parts.catalog.lane(name)
        except UnknownModel as error:
            raise NotFound(error.message) from None

    async def sights(self, lanes: Sequence[Lane]) -> list[LaneSight]:
        return await asyncio.gather(*map(self._sight, lanes))

    async def switched(self, lane: Lane, *, is_paused: bool) -> LaneSight:
        switch = self._parts.pauses.pause if is_paused else self._parts.pauses.resume
        await switch(lane.name)
        return await self._outlooks.sight(lane, at_once=True)

    async def _sight(self, lane: Lane) -> LaneSight:
        async with self._turns:
            return await self._outlooks.sight(lane)
