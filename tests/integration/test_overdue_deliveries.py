"""A webhook goes on though whoever was to publish its next attempt died before doing so."""

from collections.abc import AsyncIterator

import pytest

from scheduler.duties.forget_deliveries import ForgetDeliveries
from scheduler.duties.publish_overdue_deliveries import OVERDUE_AFTER_S, PublishOverdueDeliveries
from shared.domain.lanes import DEFAULT_WEIGHTS, Mailbox
from shared.domain.webhook_deliveries import DeliveryAttempt
from shared.domain.webhook_schedule import DeliveryStatus, Ruling
from tests.integration.webhook_rig import TEAM, WebhookRig, webhook_rig
from tests.servers.receiver import receiver


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[WebhookRig]:
    async with webhook_rig(valkey_url) as rig:
        yield rig


async def lose_a_message(rig: WebhookRig) -> None:
    intake = rig.queue.intake(Mailbox.WEBHOOKS.value, DEFAULT_WEIGHTS, 1)
    await (await intake.take()).ack()
    await intake.close()


async def test_an_attempt_that_was_noted_and_whose_next_message_is_lost_is_published_by_the_scheduler(
    rig: WebhookRig,
) -> None:
    duty = PublishOverdueDeliveries(rig.duty_parts())
    async with receiver(await rig.secret()) as hook:
        await rig.end_job(hook.url)
        [delivery] = await rig.fan_out()
        await rig.deliveries.claim(delivery.due, rig.clock.now(), rig.parts.lease_s)
        next_at = rig.clock.now() + 5.0
        attempt = DeliveryAttempt(rig.clock.now(), 500, None, 0.1)
        await rig.deliveries.note(delivery, attempt, Ruling(DeliveryStatus.PENDING, next_at))
        await lose_a_message(rig)
        rig.clock.move_to(next_at + OVERDUE_AFTER_S - 10)
        assert await duty() == 0
        rig.clock.move_to(next_at + OVERDUE_AFTER_S + 1)
        assert (await duty(), await duty(), await rig.depth()) == (1, 0, 1)
        async with rig.carrying():
            [ended] = await rig.ended(1)
        assert [attempt.status for attempt in ended.attempts] == [500, 204]
        assert await duty() == 0


async def test_a_redelivery_whose_message_is_lost_is_published_by_the_scheduler(rig: WebhookRig) -> None:
    async with receiver(await rig.secret()) as hook:
        await rig.end_job(hook.url)
        async with rig.carrying():
            [delivery] = await rig.ended(1)
            await rig.deliveries.begin_anew(TEAM, delivery.id, rig.clock.now())
            rig.clock.move_to(rig.clock.now() + OVERDUE_AFTER_S + 1)
            assert await PublishOverdueDeliveries(rig.duty_parts())() == 1
            [ended] = await rig.ended(1)
        assert list(hook.seen.values()) == [2]
        assert ended.status is DeliveryStatus.DELIVERED
        assert await ForgetDeliveries(rig.duty_parts())() == 0, "it is kept"
