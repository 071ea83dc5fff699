"""How webhooks are answered, for the OpenAPI document; see ``schemas``."""

from typing import Literal

from producer_api.schemas import Answer
from shared.domain.webhook_schedule import DeliveryStatus
from shared.domain.webhooks import EventType


class EndpointObject(Answer):
    """Where a team wants its events, without the secret. ``events``: null: all.

    ``older_valid_until``: until then secrets from before a rotation sign as well; null: the newest signs alone.
    ``failing_since``: since when every attempt failed. ``disabled_reason``: why nothing is sent there any more.
    """

    id: str
    object: Literal["webhook_endpoint"]
    url: str
    events: list[EventType] | None
    created_at: str
    older_valid_until: str | None
    failing_since: str | None
    disabled_at: str | None
    disabled_reason: str | None


class EndpointWithSecret(EndpointObject):
    """A new endpoint, or one whose secret was rotated. ``secret`` is shown this once."""

    secret: str


class EndpointList(Answer):
    """All endpoints of a team, newest first."""

    object: Literal["list"]
    data: list[EndpointObject]


class DeletedEndpoint(Answer):
    """An endpoint that is no more."""

    id: str
    object: Literal["webhook_endpoint"]
    deleted: Literal[True]


class SecretObject(Answer):
    """What signs the webhooks that are named on jobs and batches. ``older_valid_until``: as of an endpoint."""

    object: Literal["webhook_secret"]
    secret: str
    older_valid_until: str | None


class DeliveryAttemptObject(Answer):
    """One request. ``status``: HTTP's; null: there was no answer. ``problem``: what went wrong."""

    at: str
    status: int | None
    problem: str | None
    duration_s: float


class DeliveryObject(Answer):
    """One event on its way to one place. ``event_id``: its ``webhook-id``, the same at every attempt.

    ``endpoint``: null: ``url`` was named on the job or the batch.
    """

    id: str
    object: Literal["webhook_delivery"]
    event_id: str
    event_type: EventType
    subject: str
    url: str
    endpoint: str | None
    status: DeliveryStatus
    attempts: list[DeliveryAttemptObject]
    next_attempt_at: str | None


class DeliveryList(Answer):
    """A page, newest event first. It may be short, even empty, though more follow: go on with ``next_after`` as ``after``."""

    object: Literal["list"]
    data: list[DeliveryObject]
    first_id: str | None
    last_id: str | None
    has_more: bool
    next_after: str | None
