"""Carries webhooks: a notice becomes deliveries, and a delivery's message an attempt."""

import json

from shared.domain.errors import MalformedMessage
from shared.domain.events import MessageBuried
from shared.domain.lanes import Mailbox
from shared.domain.notices import Notice
from shared.domain.webhook_deliveries import AttemptDue
from shared.domain.work_queue import Delivery
from workers.couriers.webhook_attempts import Attempts
from workers.couriers.webhook_fan_out import FanOut
from workers.couriers.webhook_parts import WebhookParts
from workers.couriers.webhook_subjects import Subjects


class WebhookCourier:
    """Handles what comes into the mailbox of webhooks."""

    def __init__(self, parts: WebhookParts) -> None:
        """Use the ports in ``parts``."""
        self._parts = parts
        subjects = Subjects(parts)
        self._fan_out = FanOut(parts, subjects)
        self._attempts = Attempts(parts, subjects)

    async def handle(self, delivery: Delivery) -> None:
        """Carry one message to its end, and acknowledge it after everything else. Raises ``Unavailable``: give it back."""
        try:
            told = _read(delivery.message.body)
        except MalformedMessage as error:
            await self._parts.queue.bury(delivery.message, error.message, delivery.queue)
            self._parts.emit(MessageBuried(delivery.message.job_id, error.message))
        else:
            if isinstance(told, Notice):
                await self._fan_out.tell(told)
            else:
                await self._attempts.make(told, delivery.message)
        await delivery.ack()


def _read(body: bytes) -> Notice | AttemptDue:
    try:
        document = json.loads(body)
    except ValueError:
        raise MalformedMessage("not JSON") from None
    told = Notice.read(Mailbox.WEBHOOKS, document) or AttemptDue.read(document)
    if told is None:
        raise MalformedMessage("neither a notice nor a delivery")
    return told
