"""The models that can be asked for, as OpenAI lists them."""

from typing import Any, Final

from fastapi import APIRouter, Request, Response

from producer_api.authentication import Authentication
from producer_api.endpoints.answers import json_response
from producer_api.parts import ApiParts
from producer_api.schemas import ERRORS, Model, ModelList
from shared.domain.errors import UnknownModel

_LONGEST_QUOTE: Final = 80


def router(parts: ApiParts, authentication: Authentication) -> APIRouter:
    """Give the routes under ``/v1/models``. ``created``, which the shape wants, is this process's start."""
    routes = APIRouter(prefix="/v1/models", tags=["models"], responses=ERRORS)
    started_at = int(parts.clock.now())
    names = frozenset({*parts.catalog.lanes, *parts.catalog.aliases})

    def shown(name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": started_at, "owned_by": "forebay"}

    @routes.get("", responses={200: {"model": ModelList}})
    async def list_models(request: Request) -> Response:
        """List the models, other names for them included."""
        await authentication.principal(request)
        return json_response({"object": "list", "data": [shown(name) for name in sorted(names)]})

    @routes.get("/{model:path}", responses={200: {"model": Model}})
    async def get_model(request: Request, model: str) -> Response:
        """Give a model; its name may have slashes."""
        await authentication.principal(request)
        if model not in names:
            raise UnknownModel(
                f"There is no model `{model[:_LONGEST_QUOTE]}`; `GET /v1/models` lists them.", param="model"
            )
        return json_response(shown(model))

    return routes
