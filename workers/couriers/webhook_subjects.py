"""What an event is about: finds the record, and whom it names to be told."""

from dataclasses import dataclass

from shared.domain.notices import Notice
from shared.domain.provider_changes import PREFIX
from shared.domain.webhooks import WebhookEvent, end_of_job
from shared.wire.webhook_events import body_about_batch, body_about_job, body_of, event_about_provider, event_of_batch
from workers.couriers.webhook_parts import WebhookParts


@dataclass(frozen=True, slots=True)
class Happening:
    """An event, and the URL that its job or batch names, if it does."""

    event: WebhookEvent
    webhook: str | None = None


class Subjects:
    """Reads what notices and events are about."""

    def __init__(self, parts: WebhookParts) -> None:
        """Use the records in ``parts``."""
        self._store = parts.store
        self._endpoints = parts.endpoints
        self._provider_changes = parts.provider_changes

    async def happening(self, notice: Notice) -> Happening | None:
        """Give what a notice tells of; None: nothing, because it is not kept any more, or has begun anew."""
        team, subject = notice.team, notice.subject
        if subject.startswith("job_"):
            job = await self._store.get(team, subject)
            ended = None if job is None else end_of_job(job)
            return None if job is None or ended is None else Happening(ended, job.spec.callback.webhook)
        if subject.startswith("batch_"):
            batch = await self._store.batch(team, subject)
            ended = None if batch is None else event_of_batch(batch)
            return None if batch is None or ended is None else Happening(ended, batch.webhook)
        if subject.startswith(f"{PREFIX}_"):
            told = await self._provider_changes.told(team, subject)
            return None if told is None else Happening(event_about_provider(team, *told))
        endpoint = await self._endpoints.get(team, subject)
        ended = None if endpoint is None else endpoint.end
        return None if ended is None else Happening(ended)

    async def body(self, event: WebhookEvent) -> bytes | None:
        """Give what is to be sent; None: it is not kept any more, or is no longer so."""
        if event.data is not None:
            return body_of(event, event.data)
        if event.subject.startswith("job_"):
            job = await self._store.get(event.team, event.subject)
            return body_about_job(event, job) if job is not None and job.sequence == event.sequence else None
        batch = await self._store.batch(event.team, event.subject)
        return body_about_batch(event, batch) if batch is not None and batch.sequence == event.sequence else None
