"""The deliveries of webhooks: each with its attempts; redelivering."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from producer_api.authentication import Authentication
from producer_api.endpoints.answers import json_response
from producer_api.pages import page_of, require_cursor
from producer_api.parts import ApiParts
from producer_api.schemas import ERRORS
from producer_api.webhook_schemas import DeliveryList, DeliveryObject
from shared.domain.errors import NotFound
from shared.domain.lanes import Mailbox
from shared.domain.tenants import Scope
from shared.domain.webhook_deliveries import Delivery, DeliveryFilter
from shared.domain.webhook_schedule import DeliveryStatus
from shared.wire.webhooks import render_delivery

LARGEST_PAGE: Final = 1000
_LONGEST_QUOTE: Final = 40

Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE)]
Subject = Annotated[str | None, Query(description="A job's or a batch's id.")]


def router(parts: ApiParts, authentication: Authentication) -> APIRouter:
    """Give the routes under ``/v1/webhooks/deliveries``."""
    routes = APIRouter(prefix="/v1/webhooks/deliveries", tags=["webhooks"], responses=ERRORS)
    ledger = _Ledger(parts)

    @routes.get("", responses={200: {"model": DeliveryList}})
    async def list_deliveries(
        request: Request,
        job: Subject = None,
        endpoint: str | None = None,
        status: DeliveryStatus | None = None,
        after: str | None = None,
        limit: Limit = 20,
    ) -> Response:
        """List deliveries, those of the newest events first. They are kept for 4 days after their last attempt."""
        principal = await authentication.principal(request, Scope.READ)
        wanted = DeliveryFilter(job, endpoint, status)
        return json_response(await ledger.page(principal.team, wanted, after, limit))

    @routes.get("/{delivery_id}", responses={200: {"model": DeliveryObject}})
    async def get_delivery(request: Request, delivery_id: str) -> Response:
        """Give a delivery with each of its attempts."""
        principal = await authentication.principal(request, Scope.READ)
        found = await parts.deliveries.get(principal.team, delivery_id)
        return json_response(render_delivery(_there(found, delivery_id)))

    @routes.post("/{delivery_id}/redeliver", status_code=202, responses={202: {"model": DeliveryObject}})
    async def redeliver(request: Request, delivery_id: str) -> Response:
        """Send the event again, with the same `webhook-id`, and try as often as at first; `409` if an attempt comes within a minute."""
        principal = await authentication.principal(request, Scope.SUBMIT)
        return json_response(render_delivery(await ledger.begun_anew(principal.team, delivery_id)), 202)

    return routes


class _Ledger:
    """Where the deliveries' records are."""

    def __init__(self, parts: ApiParts) -> None:
        self._parts = parts

    async def page(self, team: str, wanted: DeliveryFilter, after: str | None, limit: int) -> dict[str, Any]:
        require_cursor(after, "dlv", "delivery")
        page = await self._parts.deliveries.page(team, wanted, after, limit)
        return page_of([render_delivery(delivery) for delivery in page.deliveries], page.next_after)

    async def begun_anew(self, team: str, delivery_id: str) -> Delivery:
        anew = await self._parts.deliveries.begin_anew(team, delivery_id, self._parts.clock.now())
        delivery = _there(anew, delivery_id)
        await self._parts.queue.publish(Mailbox.WEBHOOKS.queue, delivery.due.message())
        await self._parts.deliveries.note_queued(delivery.due)
        return delivery


def _there(delivery: Delivery | None, delivery_id: str) -> Delivery:
    if delivery is None:
        raise NotFound(
            f"There is no webhook delivery `{delivery_id[:_LONGEST_QUOTE]}`; "
            "`GET /v1/webhooks/deliveries` lists those that there are."
        )
    return delivery
