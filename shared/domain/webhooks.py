"""What a webhook tells: an event, its name that never changes, and who may ask for it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from shared.domain.batches import Batch
from shared.domain.job import FINAL_STATUSES, Job

LARGEST_BODY: Final = 256 * 1024
"""Bytes of a body; a response that makes it larger is left out."""


class EventType(StrEnum):
    """What can happen; an endpoint names those it wants, or none, for all."""

    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"
    JOB_EXPIRED = "job.expired"
    BATCH_COMPLETED = "batch.completed"
    BATCH_FAILED = "batch.failed"
    BATCH_EXPIRED = "batch.expired"
    BATCH_CANCELLED = "batch.cancelled"
    BUDGET_THRESHOLD = "budget.threshold"
    PROVIDER_DOWN = "provider.down"
    PROVIDER_UP = "provider.up"
    ENDPOINT_DISABLED = "endpoint.disabled"


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """Something happened that somebody is told of.

    id: ``evt_…``, the same however often it is published: receivers tell repeats by it.
    subject: the id of what it happened to. at: the moment, in seconds since the epoch.
    sequence: its place among all events of the team; rises with time.
    data: what is told; None: the record of the subject, as it stands then.
    """

    id: str
    team: str
    type: EventType
    subject: str
    at: float
    sequence: int
    data: dict[str, Any] | None = None


def end_of_job(job: Job) -> WebhookEvent | None:
    """Give the event of a job's end; None: it has not ended."""
    if job.status not in FINAL_STATUSES or job.finished_at is None:
        return None
    return WebhookEvent(
        id=event_id(job.spec.id, job.revivals),
        team=job.spec.team,
        type=EventType(f"job.{job.status}"),
        subject=job.spec.id,
        at=job.finished_at,
        sequence=job.sequence or 0,
    )


def end_of_batch(batch: Batch, status: str) -> WebhookEvent | None:
    """Give the event of a batch's end; None: it has not ended. ``status``: OpenAI's word for where it stands."""
    if batch.finished_at is None or batch.is_open:
        return None
    return WebhookEvent(
        id=event_id(batch.id, batch.reopened),
        team=batch.team,
        type=EventType(f"batch.{status}"),
        subject=batch.id,
        at=batch.finished_at,
        sequence=batch.sequence or 0,
    )


def event_id(subject: str, times_before: int = 0) -> str:
    """Give the id of the event that a subject ended, after it had ended so many ``times_before``."""
    return f"evt_{subject.rpartition('_')[2]}{f'_r{times_before}' if times_before else ''}"
