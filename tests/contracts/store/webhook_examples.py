"""Endpoints and deliveries to keep."""

from shared.domain.webhook_deliveries import Delivery
from shared.domain.webhook_endpoints import Endpoint
from shared.domain.webhook_secrets import SigningSecret, new_secret
from shared.domain.webhooks import EventType, WebhookEvent, event_id
from tests.contracts.store.examples import CREATED_AT, TEAM


def an_endpoint(endpoint_id: str, *events: EventType, team: str = TEAM) -> Endpoint:
    return Endpoint(endpoint_id, team, "https://example.com/hook", events, SigningSecret(new_secret()), CREATED_AT)


def an_event(subject: str, at: float = CREATED_AT, team: str = TEAM) -> WebhookEvent:
    return WebhookEvent(event_id(subject), team, EventType.JOB_SUCCEEDED, subject, at, 1)


def a_delivery(subject: str, endpoint_id: str | None = None, at: float = CREATED_AT, team: str = TEAM) -> Delivery:
    return Delivery.to(an_event(subject, at, team), "https://example.com/hook", endpoint_id, at)
