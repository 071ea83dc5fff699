"""The models that can be asked for, as OpenAI lists them."""

from fastapi import APIRouter, Request, Response

from producer_api.authentication import Authentication
from producer_api.endpoints.answers import json_response
from producer_api.parts import ApiParts
from producer_api.schemas import ERRORS, ModelList


def router(parts: ApiParts, authentication: Authentication) -> APIRouter:
    """Give the routes under ``/v1/models``. ``created``, which the shape wants, is this process's start."""
    routes = APIRouter(prefix="/v1/models", tags=["models"], responses=ERRORS)
    started_at = int(parts.clock.now())

    @routes.get("", responses={200: {"model": ModelList}})
    async def list_models(request: Request) -> Response:
        """List the models, other names for them included."""
        await authentication.principal(request)
        names = sorted({*parts.catalog.lanes, *parts.catalog.aliases})
        models = [{"id": name, "object": "model", "created": started_at, "owned_by": "forebay"} for name in names]
        return json_response({"object": "list", "data": models})

    return routes
