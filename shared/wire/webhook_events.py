"""Events as receivers get them: the body, and the headers that prove whose it is."""

from datetime import UTC, datetime
from typing import Any, Final

import orjson
from standardwebhooks import Webhook

from shared.domain.batches import Batch
from shared.domain.job import Job
from shared.domain.provider_changes import ProviderChange
from shared.domain.webhook_secrets import SigningSecret
from shared.domain.webhooks import LARGEST_BODY, EventType, WebhookEvent, end_of_batch, event_id
from shared.wire.batch_object import batch_status, render_batch
from shared.wire.job_object import render_job
from shared.wire.moments import format_moment

USER_AGENT: Final = "forebay-webhooks"


def event_of_batch(batch: Batch) -> WebhookEvent | None:
    """Give the event of a batch's end; None: it has not ended."""
    return end_of_batch(batch, batch_status(batch))


def event_about_provider(team: str, change: ProviderChange, sequence: int) -> WebhookEvent:
    """Give what a team is told of a provider: nothing but what ``GET /v1/lanes`` shows to everybody."""
    return WebhookEvent(
        id=event_id(change.id),
        team=team,
        type=EventType(f"provider.{change.status}"),
        subject=change.id,
        at=change.since,
        sequence=sequence,
        data={
            "id": change.deployment,
            "object": "deployment",
            "model": change.lane,
            "status": change.status.value,
            "since": format_moment(change.since),
        },
    )


def body_of(event: WebhookEvent, data: dict[str, Any]) -> bytes:
    """Write the body. ``timestamp`` is the moment of the event, so the bytes are the same at every attempt."""
    return orjson.dumps(
        {
            "type": event.type.value,
            "timestamp": format_moment(event.at),
            "sequence": event.sequence,
            "data": data,
        }
    )


def body_about_job(event: WebhookEvent, job: Job) -> bytes:
    """Write the body about a job as ``GET`` shows it, without a response that makes it too large or lies in a file."""
    data = render_job(job)
    if job.outcome is None or job.outcome.response_file is None:
        body = body_of(event, data)
        if len(body) <= LARGEST_BODY:
            return body
    return body_of(event, data | {"response": None, "response_omitted": True})


def body_about_batch(event: WebhookEvent, batch: Batch) -> bytes:
    """Write the body about a batch as ``GET`` shows it."""
    return body_of(event, render_batch(batch))


def signed_headers(event_id: str, secret: SigningSecret, body: bytes, now: float) -> dict[str, str]:
    """Give the headers of an attempt that is made ``now``: a signature by each secret that is valid."""
    at = datetime.fromtimestamp(int(now), UTC)
    text = body.decode()
    return {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": " ".join(Webhook(valid).sign(event_id, at, text) for valid in secret.valid_at(now)),
    }
