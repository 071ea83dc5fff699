"""What the scheduler does, for administrators."""

from fastapi import APIRouter, Request, Response

from producer_api.authentication import Authentication
from producer_api.endpoints.answers import json_response
from producer_api.parts import ApiParts
from producer_api.schedule_schemas import ScheduleObject
from producer_api.schemas import ERRORS
from shared.domain.tenants import Scope
from shared.wire.schedule_object import render_schedule


def router(parts: ApiParts, authentication: Authentication) -> APIRouter:
    """Give the route ``/v1/schedule``."""
    routes = APIRouter(prefix="/v1/schedule", tags=["schedule"], responses=ERRORS)

    @routes.get("", responses={200: {"model": ScheduleObject}})
    async def get_schedule(request: Request) -> Response:
        """Give which scheduler leads, and each duty with its next run and its last ones, for an administrator."""
        await authentication.principal(request, Scope.ADMIN)
        return json_response(render_schedule(await parts.schedule.look()))

    return routes
