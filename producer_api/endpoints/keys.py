"""The API keys, for administrators: make, list, revoke."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from producer_api.authentication import Authentication
from producer_api.body import JSON_TYPES, read_body, require_content_type
from producer_api.endpoints.answers import json_response
from producer_api.pages import page_of, require_cursor
from producer_api.parts import ApiParts
from producer_api.schemas import ERRORS, KeyList, KeyObject, NewKeyObject, without_references
from shared.domain import ids
from shared.domain.api_keys import ApiKey, hint_of, new_key
from shared.domain.errors import InvalidInput, NotFound
from shared.domain.tenants import Scope, hash_key
from shared.wire.api_keys import KeyWish, check_team, render_key

LARGEST_PAGE: Final = 1000
_LONGEST_QUOTE: Final = 40
_EXAMPLE: Final = {"team": "search", "name": "nightly titles", "limits": {"rpm": 600}, "on_limit": "queue"}

Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE)]


def router(parts: ApiParts, authentication: Authentication) -> APIRouter:
    """Give the routes under ``/v1/keys``."""
    routes = APIRouter(prefix="/v1/keys", tags=["keys"], responses=ERRORS)
    cabinet = _Cabinet(parts)

    @routes.post(
        "",
        status_code=201,
        responses={201: {"model": NewKeyObject, "description": "Made; `key` is shown this once."}},
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": without_references(KeyWish), "example": _EXAMPLE}},
            }
        },
    )
    async def make_key(request: Request) -> Response:
        """Make a key for a team."""
        await authentication.principal(request, Scope.ADMIN)
        require_content_type(request, JSON_TYPES)
        made = await cabinet.made(KeyWish.parse(await read_body(request, parts.body_limit)))
        return json_response(made, 201, {"cache-control": "no-store"})

    @routes.get("", responses={200: {"model": KeyList}})
    async def list_keys(
        request: Request, team: str | None = None, after: str | None = None, limit: Limit = 20
    ) -> Response:
        """List keys, newest first; none of them is shown in the clear."""
        await authentication.principal(request, Scope.ADMIN)
        return json_response(await cabinet.page(team, after, limit))

    @routes.delete("/{key_id}", responses={200: {"model": KeyObject}})
    async def delete_key(request: Request, key_id: str) -> Response:
        """Revoke a key: as `POST /v1/keys/{key_id}/revoke`."""
        await authentication.principal(request, Scope.ADMIN)
        return json_response(await cabinet.revoked(key_id))

    @routes.post("/{key_id}/revoke", responses={200: {"model": KeyObject}})
    async def revoke_key(request: Request, key_id: str) -> Response:
        """Revoke a key: within a second it opens nothing any more. Again, it changes nothing."""
        await authentication.principal(request, Scope.ADMIN)
        return json_response(await cabinet.revoked(key_id))

    return routes


class _Cabinet:
    """Where the keys' records are."""

    def __init__(self, parts: ApiParts) -> None:
        self._keys = parts.api_keys
        self._clock = parts.clock

    async def made(self, wish: KeyWish) -> dict[str, Any]:
        secret, now = new_key(), self._clock.now()
        key = ApiKey(
            id=ids.new_id("key", now),
            team=wish.team,
            hint=hint_of(secret),
            created_at=now,
            name=wish.name,
            scopes=wish.asked_scopes,
            terms=wish.terms,
        )
        await self._keys.add(key, hash_key(secret))
        return render_key(key) | {"key": secret}

    async def page(self, team: str | None, after: str | None, limit: int) -> dict[str, Any]:
        require_cursor(after, "key", "key")
        if team is not None:
            _require_team(team)
        page = await self._keys.page(team, after, limit)
        return page_of([render_key(key) for key in page.keys], page.next_after)

    async def revoked(self, key_id: str) -> dict[str, Any]:
        key = await self._keys.revoke(key_id, self._clock.now()) if ids.is_id("key", key_id) else None
        if key is None:
            raise NotFound(f"There is no key `{key_id[:_LONGEST_QUOTE]}`; `GET /v1/keys` lists those that there are.")
        return render_key(key)


def _require_team(team: str) -> None:
    try:
        check_team(team)
    except ValueError as error:
        raise InvalidInput(f"`team` must be {error}.", param="team") from None
