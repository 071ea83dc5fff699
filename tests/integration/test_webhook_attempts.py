"""An event is sent to a receiver again and again, until it is taken or given up."""

from collections.abc import AsyncIterator

import pytest

from shared.domain.job import JobStatus
from shared.domain.webhook_schedule import HORIZON_S, JITTER, WAITS_S, DeliveryStatus
from shared.domain.webhooks import EventType
from tests.integration.webhook_rig import TEAM, WebhookRig, webhook_rig
from tests.servers.receiver import Receiver, dawdle, drop_the_answer, hang_up, receiver, say, take


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[WebhookRig]:
    async with webhook_rig(valkey_url) as rig:
        yield rig


@pytest.fixture
async def hook(rig: WebhookRig) -> AsyncIterator[Receiver]:
    """A receiver that knows the secret of the team's jobs."""
    async with receiver(await rig.secret()) as hook:
        yield hook


@pytest.mark.hazard(23)
async def test_a_receiver_that_is_down_then_slow_then_drops_its_answers_gets_each_event_with_one_id(
    valkey_url: str,
) -> None:
    async with webhook_rig(valkey_url, timeout_s=0.4) as rig, receiver(await rig.secret()) as hook:
        hook.answers = [hang_up, say(503), dawdle, drop_the_answer, drop_the_answer, take]
        jobs = [await rig.end_job(hook.url) for _ in range(8)]
        async with rig.carrying():
            ended = await rig.ended(8)
        assert {delivery.status for delivery in ended} == {DeliveryStatus.DELIVERED}
        assert min(hook.seen.values()) == 6
        assert hook.ids == hook.seen.keys() == {f"evt_{job.spec.id.removeprefix('job_')}" for job in jobs}
        bodies = {(received.id, received.raw) for received in hook.received}
        assert len(bodies) == 8, "the same event has the same bytes at each attempt"
        events = [received.event for received in hook.received]
        in_order = {
            event["sequence"]: event["data"]["id"] for event in sorted(events, key=lambda event: event["sequence"])
        }
        assert list(in_order.values()) == [job.spec.id for job in jobs]


async def test_the_attempts_bear_their_own_moments(rig: WebhookRig, hook: Receiver) -> None:
    hook.answers = [drop_the_answer, take]
    await rig.end_job(hook.url)
    async with rig.carrying():
        [delivery] = await rig.ended(1)
    moments = [int(received.headers["webhook-timestamp"]) for received in hook.received]
    assert moments == [int(attempt.at) for attempt in delivery.attempts]
    assert moments[0] < moments[1]


async def test_a_delivery_that_always_fails_is_given_up_after_ten_attempts(rig: WebhookRig, hook: Receiver) -> None:
    hook.answers = [say(302, location="/elsewhere")]
    await rig.end_job(hook.url)
    async with rig.carrying():
        [delivery] = await rig.ended(1)
    assert delivery.status is DeliveryStatus.FAILED
    assert [attempt.status for attempt in delivery.attempts] == [302] * 10
    assert list(hook.seen.values()) == [10]


async def test_for_a_day_after_a_rotation_the_older_and_the_newer_secret_verify(
    rig: WebhookRig, hook: Receiver
) -> None:
    now = rig.clock.now()
    newer = await rig.parts.secrets.rotate(TEAM, now - 86_000)
    endpoint = await rig.endpoint(hook.url, EventType.JOB_FAILED)
    rotated = await rig.parts.endpoints.rotate(TEAM, endpoint.id, now - 86_401)
    assert rotated is not None
    await rig.end_job(hook.url)
    async with rig.carrying():
        await rig.ended(1)
        older, hook.secret = hook.secret, rotated.secret.current
        await rig.end_job(status=JobStatus.FAILED)
        await rig.ended(2)
    within_the_day, after_it = hook.received
    assert within_the_day.is_signed_with(older)
    assert within_the_day.is_signed_with(newer.current)
    assert not within_the_day.is_signed_with(rotated.secret.current)
    assert after_it.is_signed_with(rotated.secret.current)
    assert not after_it.is_signed_with(endpoint.secret.current)


async def test_retry_after_is_honoured_where_it_is_longer_than_the_wait(rig: WebhookRig, hook: Receiver) -> None:
    hook.answers = [say(429, retry_after="120"), say(503, retry_after="0"), take]
    await rig.end_job(hook.url)
    async with rig.carrying():
        await rig.ended(1)
    assert [round(waited) for waited in rig.queue.waited] == [120, 0]


async def test_what_is_no_longer_kept_is_not_sent_and_the_delivery_says_so(rig: WebhookRig, hook: Receiver) -> None:
    job = await rig.end_job(hook.url)
    await rig.fan_out()
    await rig.redis.delete(f"forebay:{{{TEAM}}}:job:{job.spec.id}")
    async with rig.carrying():
        [delivery] = await rig.ended(1)
    assert delivery.status is DeliveryStatus.FAILED
    assert delivery.attempts[-1].problem == "not sent: what it tells of is no longer kept, or was started anew"
    assert hook.seen == {}


@pytest.mark.hazard(22)
async def test_what_is_to_be_told_is_kept_until_the_last_attempt_is_over(valkey_url: str) -> None:
    async with webhook_rig(valkey_url, retention_s=60) as rig, receiver(await rig.secret()) as hook:
        hook.answers = [say(500)]
        told, untold = await rig.end_job(hook.url), await rig.end_job()
        last_attempt_s = sum(WAITS_S) * (1 + JITTER)
        kept_s = [await rig.redis.pttl(f"forebay:{{{TEAM}}}:job:{job.spec.id}") / 1000 for job in (told, untold)]
        assert kept_s[1] <= 60
        assert last_attempt_s < HORIZON_S < kept_s[0]
        async with rig.carrying():
            [delivery] = await rig.ended(1)
        assert len(delivery.attempts) == 10
        assert await rig.redis.pttl(f"forebay:{{{TEAM}}}:delivery:{delivery.id}") / 1000 > HORIZON_S
