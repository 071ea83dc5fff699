"""Webhook endpoints as a team asks for them; endpoints, secrets and deliveries as the API shows them."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from shared.domain.webhook_deliveries import Delivery, DeliveryAttempt
from shared.domain.webhook_endpoints import Endpoint
from shared.domain.webhook_secrets import SigningSecret
from shared.domain.webhooks import EventType
from shared.wire.moments import format_moment, format_optional
from shared.wire.object_body import read_as


class EndpointWish(BaseModel):
    """Where to send, and what; ``events``: none: all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    events: list[EventType] = []

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read the body of a request.

        Raises:
            InvalidInput: what is wrong, where, and what is allowed.
        """
        return read_as(cls, body)


def render_endpoint(endpoint: Endpoint, now: float) -> dict[str, Any]:
    """Give an endpoint as a client sees it, without its secret. ``now``: seconds since the epoch."""
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "url": endpoint.url,
        "events": [event.value for event in endpoint.events] or None,
        "created_at": format_moment(endpoint.created_at),
        "older_valid_until": format_optional(endpoint.secret.older_until(now)),
        "failing_since": None if endpoint.failing is None else format_moment(endpoint.failing.since),
        "disabled_at": format_optional(endpoint.disabled_at),
        "disabled_reason": endpoint.disabled_because if endpoint.disabled_at is not None else None,
    }


def render_secret(secret: SigningSecret, now: float) -> dict[str, Any]:
    """Give a team's own secret. ``now``: seconds since the epoch."""
    return {
        "object": "webhook_secret",
        "secret": secret.current,
        "older_valid_until": format_optional(secret.older_until(now)),
    }


def render_delivery(delivery: Delivery) -> dict[str, Any]:
    """Give a delivery with each attempt."""
    return {
        "id": delivery.id,
        "object": "webhook_delivery",
        "event_id": delivery.event.id,
        "event_type": delivery.event.type.value,
        "subject": delivery.event.subject,
        "url": delivery.url,
        "endpoint": delivery.endpoint_id,
        "status": delivery.status.value,
        "attempts": [_render_attempt(attempt) for attempt in delivery.attempts],
        "next_attempt_at": format_optional(delivery.next_attempt_at),
    }


def _render_attempt(attempt: DeliveryAttempt) -> dict[str, Any]:
    return {
        "at": format_moment(attempt.at),
        "status": attempt.status,
        "problem": attempt.problem,
        "duration_s": round(attempt.duration_s, 3),
    }
