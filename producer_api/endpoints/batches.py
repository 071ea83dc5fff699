"""The progress of batches."""

from typing import Final

from fastapi import APIRouter, Request, Response

from producer_api.authentication import Authentication
from producer_api.endpoints.answers import json_response
from producer_api.parts import ApiParts
from producer_api.schemas import ERRORS, BatchObject
from shared.domain import ids
from shared.domain.batches import Batch, Batches
from shared.domain.errors import NotFound
from shared.domain.tenants import Scope
from shared.wire.batch_object import render_batch

_LONGEST_QUOTE: Final = 40


def router(parts: ApiParts, authentication: Authentication) -> APIRouter:
    """Give the routes under ``/v1/batches``."""
    routes = APIRouter(prefix="/v1/batches", tags=["batches"], responses=ERRORS)

    @routes.get("/{batch_id}", responses={200: {"model": BatchObject}})
    async def get_batch(request: Request, batch_id: str) -> Response:
        """Give a batch's progress."""
        principal = await authentication.principal(request, Scope.READ)
        return json_response(render_batch(await require_batch(parts.store, principal.team, batch_id)))

    return routes


async def require_batch(store: Batches, team: str, batch_id: str) -> Batch:
    """Give a batch of a team.

    Raises:
        NotFound: it has none by that id.
    """
    batch = await store.batch(team, batch_id) if ids.is_id("batch", batch_id) else None
    if batch is None:
        raise NotFound(f"There is no batch `{batch_id[:_LONGEST_QUOTE]}`.")
    return batch
