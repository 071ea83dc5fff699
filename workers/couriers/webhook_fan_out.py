"""From a notice to deliveries: one for each place that wants the event, each with a message of its own."""

from shared.domain.notices import Notice
from shared.domain.webhook_deliveries import Delivery
from shared.domain.webhook_schedule import DeliveryStatus
from workers.couriers.webhook_parts import WebhookParts
from workers.couriers.webhook_subjects import Happening, Subjects


class FanOut:
    """Begins deliveries. A notice that comes again finds them begun, and publishes only what nobody has published."""

    def __init__(self, parts: WebhookParts, subjects: Subjects) -> None:
        """``subjects``: reads what a notice tells of."""
        self._parts = parts
        self._subjects = subjects

    async def tell(self, notice: Notice) -> None:
        """Begin every delivery of what a notice tells; when this returns the broker has their messages."""
        happening = await self._subjects.happening(notice)
        if happening is None:
            return
        for delivery in await self._parts.deliveries.begin(await self._wanted(happening)):
            if delivery.status is DeliveryStatus.PENDING and delivery.queued == 0:
                await self._parts.queue.publish(notice.mailbox.queue, delivery.due.message())
                await self._parts.deliveries.note_queued(delivery.due)

    async def _wanted(self, happening: Happening) -> list[Delivery]:
        event, now = happening.event, self._parts.clock.now()
        named = [] if happening.webhook is None else [Delivery.to(event, happening.webhook, None, now)]
        endpoints = await self._parts.endpoints.of_team(event.team)
        return named + [
            Delivery.to(event, endpoint.url, endpoint.id, now) for endpoint in endpoints if endpoint.wants(event)
        ]
