"""What goes wrong around a courier: an attempt that was lost is made, and one that is ordered twice is made once."""

from collections.abc import AsyncIterator

import pytest

from shared.adapters.redis.deliveries import RedisDeliveries
from shared.domain.events import MessageBuried
from shared.domain.lanes import Mailbox
from shared.domain.notices import Notice
from shared.domain.webhook_deliveries import Delivery, DeliveryAttempt
from shared.domain.webhook_schedule import DeliveryStatus, Ruling
from shared.domain.work_queue import Message
from tests.eventually import eventually
from tests.integration.webhook_rig import TEAM, WebhookRig, webhook_rig
from tests.servers.receiver import Receiver, dawdle, receiver, say, take


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[WebhookRig]:
    async with webhook_rig(valkey_url) as rig:
        yield rig


@pytest.fixture
async def hook(rig: WebhookRig) -> AsyncIterator[Receiver]:
    """A receiver that knows the secret of the team's jobs."""
    async with receiver(await rig.secret()) as hook:
        yield hook


async def test_a_courier_that_is_lost_in_mid_delivery_has_its_attempt_made_again(valkey_url: str) -> None:
    async with webhook_rig(valkey_url, timeout_s=1.0) as rig, receiver(await rig.secret()) as hook:
        rig.queue.is_hasty = False
        hook.answers = [dawdle, take]
        await rig.end_job(hook.url)
        [delivery] = await rig.fan_out()
        # A courier claims the attempt, and is never heard of again.
        await rig.deliveries.claim(delivery.due, rig.clock.now(), rig.parts.lease_s)
        hook.answers = [take]
        async with rig.carrying():
            [ended] = await rig.ended(1)
        assert ended.status is DeliveryStatus.DELIVERED
        assert len(ended.attempts) == 1
        assert len(hook.received) == 1


async def test_two_messages_of_one_attempt_make_one_request(rig: WebhookRig, hook: Receiver) -> None:
    await rig.end_job(hook.url)
    [delivery] = await rig.fan_out()
    for _ in range(5):
        await rig.queue.publish(Mailbox.WEBHOOKS.queue, delivery.due.message())
    async with rig.carrying():
        await rig.ended(1)
        await eventually(rig.is_empty)
    assert list(hook.seen.values()) == [1]


async def test_a_notice_that_is_told_twice_makes_one_delivery(rig: WebhookRig, hook: Receiver) -> None:
    job = await rig.end_job(hook.url)
    notice = Notice(TEAM, Mailbox.WEBHOOKS, job.spec.id)
    for _ in range(3):
        await rig.queue.publish(Mailbox.WEBHOOKS.queue, notice.message)
    async with rig.carrying():
        await rig.ended(1)
        await eventually(rig.is_empty)
    assert list(hook.seen.values()) == [1]
    assert len(await rig.all()) == 1


async def test_an_attempt_that_was_noted_and_not_followed_up_is_followed_up(rig: WebhookRig, hook: Receiver) -> None:
    hook.answers = [say(500), take]
    await rig.end_job(hook.url)
    [delivery] = await rig.fan_out()
    assert delivery.queued == 1
    rig.queue.fails = 1  # of the next attempt's message
    async with rig.carrying():
        [ended] = await rig.ended(1)
    assert rig.queue.fails == 0
    assert ended.status is DeliveryStatus.DELIVERED
    assert [attempt.status for attempt in ended.attempts] == [500, 204]


class ForgetfulDeliveries(RedisDeliveries):
    """The real records; the answer to each note is lost once, and the command sent again, as the client does."""

    async def note(self, delivery: Delivery, attempt: DeliveryAttempt, ruling: Ruling) -> bool:
        await super().note(delivery, attempt, ruling)
        return await super().note(delivery, attempt, ruling)


async def test_an_attempt_is_followed_up_though_the_stores_answer_to_its_note_was_lost(
    rig: WebhookRig, hook: Receiver
) -> None:
    hook.answers = [say(500), say(500), take]
    await rig.end_job(hook.url)
    async with rig.carrying(deliveries=ForgetfulDeliveries(rig.redis)):
        [ended] = await rig.ended(1)
        await eventually(rig.is_empty)
    assert [attempt.status for attempt in ended.attempts] == [500, 500, 204]


async def test_a_message_that_cannot_be_read_goes_to_the_dead_letters(rig: WebhookRig, hook: Receiver) -> None:
    for body in (b"{", b"[]", b'{"delivery": {"team": "red"}}', b'{"notice": {"team": 7}}'):
        await rig.queue.publish(Mailbox.WEBHOOKS.queue, Message(body, "unreadable"))
    await rig.end_job(hook.url)
    async with rig.carrying():
        await rig.ended(1)
        await eventually(rig.is_empty)
    assert len(await rig.queue.dead_letters(10)) == 4
    assert len([event for event in rig.events if isinstance(event, MessageBuried)]) == 4
