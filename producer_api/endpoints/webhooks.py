"""Webhook endpoints of a team, and its own secret.

Reading needs the scope `read`; whatever changes something, or shows a secret, needs `submit`: who may submit a job may
name a webhook on it.
"""

from typing import Any, Final

from fastapi import APIRouter, Request, Response

from producer_api.authentication import Authentication
from producer_api.body import JSON_TYPES, read_body, require_content_type
from producer_api.endpoints.answers import json_response
from producer_api.parts import ApiParts
from producer_api.schemas import ERRORS, without_references
from producer_api.webhook_schemas import (
    DeletedEndpoint,
    EndpointList,
    EndpointObject,
    EndpointWithSecret,
    SecretObject,
)
from shared.domain import ids
from shared.domain.errors import InvalidInput, NotFound
from shared.domain.tenants import Scope
from shared.domain.webhook_endpoints import MOST_ENDPOINTS, Endpoint
from shared.domain.webhook_secrets import SigningSecret, new_secret
from shared.domain.webhook_urls import check_webhook_url
from shared.wire.webhooks import EndpointWish, render_endpoint, render_secret

_LONGEST_QUOTE: Final = 40
_NOT_KEPT: Final = {"cache-control": "no-store"}
_EXAMPLE: Final = {"url": "https://example.com/hook", "events": ["job.succeeded", "job.failed"]}


def router(parts: ApiParts, authentication: Authentication) -> APIRouter:
    """Give the routes under ``/v1/webhooks/endpoints`` and ``/v1/webhooks/secret``."""
    routes = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], responses=ERRORS)
    directory = _Directory(parts)

    @routes.post(
        "/endpoints",
        status_code=201,
        responses={201: {"model": EndpointWithSecret, "description": "Made; `secret` is shown this once."}},
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": without_references(EndpointWish), "example": _EXAMPLE}},
            }
        },
    )
    async def make_endpoint(request: Request) -> Response:
        """Have the team's events sent to a URL."""
        principal = await authentication.principal(request, Scope.SUBMIT)
        require_content_type(request, JSON_TYPES)
        wish = EndpointWish.parse(await read_body(request, parts.body_limit))
        return json_response(directory.with_secret(await directory.made(principal.team, wish)), 201, _NOT_KEPT)

    @routes.get("/endpoints", responses={200: {"model": EndpointList}})
    async def list_endpoints(request: Request) -> Response:
        """List all endpoints of the team, newest first."""
        principal = await authentication.principal(request, Scope.READ)
        endpoints = await parts.webhook_endpoints.of_team(principal.team)
        return json_response({"object": "list", "data": [directory.described(endpoint) for endpoint in endpoints]})

    @routes.get("/endpoints/{endpoint_id}", responses={200: {"model": EndpointObject}})
    async def get_endpoint(request: Request, endpoint_id: str) -> Response:
        """Give an endpoint."""
        principal = await authentication.principal(request, Scope.READ)
        found = await parts.webhook_endpoints.get(principal.team, endpoint_id)
        return json_response(directory.described(_there(found, endpoint_id)))

    @routes.delete("/endpoints/{endpoint_id}", responses={200: {"model": DeletedEndpoint}})
    async def delete_endpoint(request: Request, endpoint_id: str) -> Response:
        """Send nothing there any more, not even what is under way."""
        principal = await authentication.principal(request, Scope.SUBMIT)
        removed = _there(await parts.webhook_endpoints.remove(principal.team, endpoint_id), endpoint_id)
        return json_response({"id": removed.id, "object": "webhook_endpoint", "deleted": True})

    @routes.post("/endpoints/{endpoint_id}/rotate", responses={200: {"model": EndpointWithSecret}})
    async def rotate_endpoint(request: Request, endpoint_id: str) -> Response:
        """Give an endpoint a new secret; the one before it signs as well for another day."""
        principal = await authentication.principal(request, Scope.SUBMIT)
        rotated = await parts.webhook_endpoints.rotate(principal.team, endpoint_id, parts.clock.now())
        return json_response(directory.with_secret(_there(rotated, endpoint_id)), headers=_NOT_KEPT)

    @routes.post("/endpoints/{endpoint_id}/enable", responses={200: {"model": EndpointObject}})
    async def enable_endpoint(request: Request, endpoint_id: str) -> Response:
        """Send to an endpoint again that was disabled."""
        principal = await authentication.principal(request, Scope.SUBMIT)
        enabled = await parts.webhook_endpoints.enable(principal.team, endpoint_id)
        return json_response(directory.described(_there(enabled, endpoint_id)))

    @routes.get("/secret", responses={200: {"model": SecretObject}})
    async def get_secret(request: Request) -> Response:
        """Give the secret that signs webhooks which are named on jobs and batches."""
        principal = await authentication.principal(request, Scope.SUBMIT)
        return directory.shown(await parts.webhook_secrets.secret(principal.team))

    @routes.post("/secret/rotate", responses={200: {"model": SecretObject}})
    async def rotate_secret(request: Request) -> Response:
        """Give the team a new secret; the one before it signs as well for another day."""
        principal = await authentication.principal(request, Scope.SUBMIT)
        return directory.shown(await parts.webhook_secrets.rotate(principal.team, parts.clock.now()))

    return routes


class _Directory:
    """Where the endpoints' records are."""

    def __init__(self, parts: ApiParts) -> None:
        self._parts = parts

    async def made(self, team: str, wish: EndpointWish) -> Endpoint:
        check_webhook_url(wish.url, self._parts.webhook_networks, "url")
        now = self._parts.clock.now()
        endpoint = Endpoint(
            id=ids.new_id("we", now),
            team=team,
            url=wish.url,
            events=tuple(dict.fromkeys(wish.events)),
            secret=SigningSecret(new_secret()),
            created_at=now,
        )
        if not await self._parts.webhook_endpoints.add(endpoint):
            raise InvalidInput(f"The team has {MOST_ENDPOINTS} webhook endpoints, as many as are allowed; delete one.")
        return endpoint

    def described(self, endpoint: Endpoint) -> dict[str, Any]:
        return render_endpoint(endpoint, self._parts.clock.now())

    def with_secret(self, endpoint: Endpoint) -> dict[str, Any]:
        return self.described(endpoint) | {"secret": endpoint.secret.current}

    def shown(self, secret: SigningSecret) -> Response:
        return json_response(render_secret(secret, self._parts.clock.now()), headers=_NOT_KEPT)


def _there(endpoint: Endpoint | None, endpoint_id: str) -> Endpoint:
    if endpoint is None:
        raise NotFound(
            f"There is no webhook endpoint `{endpoint_id[:_LONGEST_QUOTE]}`; "
            "`GET /v1/webhooks/endpoints` lists those that there are."
        )
    return endpoint
