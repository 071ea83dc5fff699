"""Publish the webhook attempts whose message whoever was to publish it could not, or did not live to."""

from typing import Final

from scheduler.duties.parts import DutyParts
from shared.domain.lanes import Mailbox

OVERDUE_AFTER_S: Final = 60.0
"""Seconds: well beyond the time a publish may take. What is published twice is attempted once."""

AT_ONCE: Final = 500


class PublishOverdueDeliveries:
    """A duty. Running it twice at once does no harm: an attempt is made by whoever claims it."""

    def __init__(self, parts: DutyParts, overdue_after_s: float = OVERDUE_AFTER_S) -> None:
        """Look in the deliveries' records, publish to the webhooks' mailbox."""
        self._parts = parts
        self._overdue_after_s = overdue_after_s

    async def __call__(self) -> int:
        """Do it; give the number of messages published. Raises ``Unavailable``, ``Unroutable``."""
        before = self._parts.clock.now() - self._overdue_after_s
        overdue = await self._parts.deliveries.overdue(before, AT_ONCE)
        for delivery in overdue:
            await self._parts.queue.publish(Mailbox.WEBHOOKS.queue, delivery.due.message())
            await self._parts.deliveries.note_queued(delivery.due)
        return len(overdue)
