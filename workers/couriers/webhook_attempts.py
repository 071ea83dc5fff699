"""One attempt of a delivery, from its message to what follows.

a place → the claim → the secret → the body → send → note → the next attempt's message → acknowledge.

Every step may be repeated: a crash makes the same attempt again. The place comes first, so that a message which must
wait for one leaves no claim behind.
"""

from typing import Final

from shared.domain.events import EndpointDisabled, WebhookAttempted
from shared.domain.lanes import Mailbox
from shared.domain.notices import Announcer
from shared.domain.webhook_deliveries import BUSY, AttemptClaim, AttemptDue, Delivery, DeliveryAttempt, Turn
from shared.domain.webhook_endpoints import FAILED_FOR_DAYS, GONE, Endpoint
from shared.domain.webhook_schedule import DeliveryStatus, Ruling
from shared.domain.webhook_secrets import SigningSecret
from shared.domain.webhook_sender import Receipt
from shared.domain.work_queue import Message
from shared.wire.webhook_events import signed_headers
from workers.couriers.webhook_parts import WebhookParts
from workers.couriers.webhook_places import LONGEST_BACK_S, Answer, Places, Receiver
from workers.couriers.webhook_subjects import Subjects

_QUEUE: Final = Mailbox.WEBHOOKS.queue


class NotSent(Exception):
    """There is nothing to send any more, or nowhere to send it."""


class Attempts:
    """Makes attempts."""

    def __init__(self, parts: WebhookParts, subjects: Subjects) -> None:
        """``subjects``: gives what is to be sent."""
        self._parts = parts
        self._subjects = subjects
        self._places = Places(parts.concurrency)
        self._announcer = Announcer(parts.queue, parts.outbox)

    async def make(self, due: AttemptDue, message: Message) -> None:
        """Make the attempt that a message asks for, if it is still wanted; when this returns the message is done with."""
        delivery = await self._parts.deliveries.get(due.team, due.delivery_id)
        if delivery is None:
            return
        if delivery.status is not DeliveryStatus.PENDING or delivery.made >= due.number:
            await self._publish_what_follows(delivery, due)
            return
        if delivery.next_attempt_at is not None and delivery.next_attempt_at > self._parts.clock.now():
            await self._publish_later(due, delivery.next_attempt_at)
            return
        receiver = Receiver.of(due.team, delivery.url)
        if not await self._places.take(receiver):
            await self._put_away(due, message, self._places.back_in_s(receiver, self._parts.clock.monotonic()))
            return
        with self._places.held(receiver) as answer:
            claim = await self._parts.deliveries.claim(due, self._parts.clock.now(), self._parts.lease_s)
            if claim.turn is Turn.GRANTED and claim.delivery is not None:
                await self._granted(claim.delivery, answer, message)
                return
        await self._not_granted(claim, due, message)

    async def _granted(self, delivery: Delivery, answer: Answer, message: Message) -> None:
        """Send, note, and publish what follows; what could not be sent for want of room here comes again."""
        began_at, number = self._parts.clock.now(), delivery.due.number
        endpoint = await self._endpoint(delivery)
        try:
            receipt = await self._send(delivery, endpoint, began_at)
        except NotSent as reason:
            attempt = DeliveryAttempt(began_at, None, f"not sent: {reason}", 0.0)
            ruling = Ruling(DeliveryStatus.FAILED)
        else:
            if not receipt.is_tried:
                await self._parts.deliveries.let_go(delivery.due)
                await self._put_away(delivery.due, message)
                return
            attempt = DeliveryAttempt(began_at, receipt.status, receipt.problem, receipt.duration_s)
            ruling = self._parts.schedule.ruling(receipt, delivery.round, self._parts.clock.now())
            answer.is_known(went_well=ruling.status is DeliveryStatus.DELIVERED, duration_s=receipt.duration_s)
            if endpoint is not None:
                await self._judge(endpoint, ruling)
        self._tell(delivery, attempt)
        if await self._parts.deliveries.note(delivery, attempt, ruling):
            if ruling.next_attempt_at is not None:
                await self._publish_later(
                    AttemptDue(delivery.event.team, delivery.id, number + 1), ruling.next_attempt_at
                )
            return
        # Noted before: by another, or by this call itself, whose answer was lost, so that it was sent again.
        noted = await self._parts.deliveries.get(delivery.event.team, delivery.id)
        if noted is not None:
            await self._publish_what_follows(noted, delivery.due)

    def _tell(self, delivery: Delivery, attempt: DeliveryAttempt) -> None:
        number, kind = delivery.due.number, delivery.event.type.value
        self._parts.emit(
            WebhookAttempted(delivery.id, kind, number, attempt.status, attempt.problem, attempt.duration_s)
        )

    async def _send(self, delivery: Delivery, endpoint: Endpoint | None, now: float) -> Receipt:
        secret = await self._secret(delivery, endpoint)
        body = await self._subjects.body(delivery.event)
        if body is None:
            raise NotSent("what it tells of is no longer kept, or was started anew")
        headers = signed_headers(delivery.event.id, secret, body, now)
        return await self._parts.sender.send(delivery.url, body, headers)

    async def _endpoint(self, delivery: Delivery) -> Endpoint | None:
        if delivery.endpoint_id is None:
            return None
        return await self._parts.endpoints.get(delivery.event.team, delivery.endpoint_id)

    async def _secret(self, delivery: Delivery, endpoint: Endpoint | None) -> SigningSecret:
        if delivery.endpoint_id is None:
            return await self._parts.secrets.secret(delivery.event.team)
        if endpoint is None:
            raise NotSent("the endpoint was deleted")
        if endpoint.disabled_at is not None:
            raise NotSent("the endpoint is disabled")
        return endpoint.secret

    async def _judge(self, endpoint: Endpoint, ruling: Ruling) -> None:
        """Note whether an endpoint fails; disable it when that is for good."""
        if ruling.status is DeliveryStatus.DELIVERED:
            if endpoint.failing is not None:
                await self._parts.endpoints.note_failing(endpoint.team, endpoint.id, None)
            return
        failing = endpoint.failed_at(self._parts.clock.now())
        await self._parts.endpoints.note_failing(endpoint.team, endpoint.id, failing)
        if ruling.is_gone or failing.is_too_long:
            await self._disable(endpoint, GONE if ruling.is_gone else FAILED_FOR_DAYS)

    async def _disable(self, endpoint: Endpoint, reason: str) -> None:
        now = self._parts.clock.now()
        notices = await self._parts.endpoints.disable(endpoint.team, endpoint.id, reason, now)
        if notices is not None:
            self._parts.emit(EndpointDisabled(endpoint.team, endpoint.id, reason))
            await self._announcer.tell(notices)

    async def _not_granted(self, claim: AttemptClaim, due: AttemptDue, message: Message) -> None:
        """Let a message that came too early, or while another makes the attempt, come again; forget the others."""
        delivery = claim.delivery
        if claim.turn is Turn.HELD:
            await self._put_away(due, message)
        elif claim.turn is Turn.EARLY and delivery is not None and delivery.next_attempt_at is not None:
            await self._publish_later(due, delivery.next_attempt_at)
        elif claim.turn is Turn.OVER and delivery is not None:
            await self._publish_what_follows(delivery, due)

    async def _publish_what_follows(self, delivery: Delivery, due: AttemptDue) -> None:
        """Publish the next attempt, if whoever noted this one ended before doing so."""
        if delivery.made == due.number and delivery.queued <= due.number and delivery.next_attempt_at is not None:
            await self._publish_later(delivery.due, delivery.next_attempt_at)

    async def _publish_later(self, due: AttemptDue, moment: float) -> None:
        delay_s = max(0.0, moment - self._parts.clock.now())
        await self._parts.queue.publish(_QUEUE, due.message(), delay_s)
        await self._parts.deliveries.note_queued(due)

    async def _put_away(self, due: AttemptDue, message: Message, back_in_s: float | None = None) -> None:
        """Let a message come again in a while; that is no attempt. Those of one receiver do not all come at once.

        back_in_s: when there will be a place for it; None: nobody can say, so it waits longer each time.
        """
        if back_in_s is not None:
            times_busy, delay_s = 0, back_in_s + self._parts.schedule.uniform(0.0, 1.0)
        else:
            times_busy = int(message.headers.get(BUSY, "0"))
            delay_s = min(2.0**times_busy, LONGEST_BACK_S) * (1 - self._parts.schedule.uniform(0.0, 0.5))
        await self._parts.queue.publish(_QUEUE, due.message(min(times_busy + 1, 16)), delay_s)
