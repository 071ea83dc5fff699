"""Webhooks from the end of a job to a receiver that verifies them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from shared.adapters.files.filed_job_store import FiledJobStore
from shared.adapters.files.object_files import ObjectFiles
from shared.adapters.redis.deliveries import RedisDeliveries
from shared.domain.batches import Batch
from shared.domain.events import EndpointDisabled, MessageBuried, WebhookAttempted
from shared.domain.files import FileReference, LargeBodies
from shared.domain.job import Job, JobSpec, JobStatus, Outcome
from shared.domain.lanes import Mailbox, Priority
from shared.domain.notices import Notice
from shared.domain.webhook_deliveries import Delivery, DeliveryAttempt
from shared.domain.webhook_endpoints import GIVEN_UP_AFTER_S, Failing
from shared.domain.webhook_schedule import HORIZON_S, JITTER, WAITS_S, DeliveryStatus, Ruling
from shared.domain.webhooks import LARGEST_BODY, EventType, end_of_job
from shared.domain.work_queue import Message
from shared.wire.job_object import render_job
from shared.wire.webhook_events import body_about_job
from tests.eventually import eventually
from tests.integration.webhook_rig import OTHER_TEAM, PROMPT, TEAM, WebhookRig, webhook_rig
from tests.servers.receiver import (
    Receiver,
    dawdle,
    drop_the_answer,
    hang_up,
    receiver,
    say,
    take,
)
from workers.couriers.mail_round import HANDS
from workers.couriers.webhook_places import MOST_OF_A_TEAM


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[WebhookRig]:
    async with webhook_rig(valkey_url) as rig:
        yield rig


@pytest.fixture
async def hook(rig: WebhookRig) -> AsyncIterator[Receiver]:
    """A receiver that knows the secret of the team's jobs."""
    async with receiver(await rig.secret()) as hook:
        yield hook


async def test_a_job_that_names_a_webhook_is_told_there_as_it_stands(rig: WebhookRig, hook: Receiver) -> None:
    job = await rig.end_job(hook.url)
    async with rig.carrying():
        [delivery] = await rig.ended(1)
    [received] = hook.received
    assert received.event["type"] == "job.succeeded"
    assert received.event["data"] == render_job(job)
    assert received.event["timestamp"] == received.event["data"]["finished_at"]
    assert received.event["sequence"] == job.sequence
    assert received.id == delivery.event.id == f"evt_{job.spec.id.removeprefix('job_')}"
    assert delivery.status is DeliveryStatus.DELIVERED
    assert [(attempt.status, attempt.problem) for attempt in delivery.attempts] == [(204, None)]
    assert await rig.depth() == 0


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.EXPIRED])
async def test_every_end_of_a_job_is_an_event(rig: WebhookRig, hook: Receiver, status: JobStatus) -> None:
    await rig.end_job(hook.url, status=status)
    async with rig.carrying():
        await rig.ended(1)
    assert hook.received[0].event["type"] == f"job.{status}"


async def test_a_batch_is_told_to_its_own_webhook_and_to_the_teams_endpoints(rig: WebhookRig, hook: Receiver) -> None:
    async with receiver() as other:
        endpoint = await rig.endpoint(other.url, EventType.BATCH_COMPLETED)
        other.secret = endpoint.secret.current
        batch_id = "batch_01k9zzzzzzzzzzzzzzzzzzzzzz"
        await rig.store.open_batch(Batch(batch_id, TEAM, None, rig.clock.now(), is_open=True, webhook=hook.url))
        await rig.end_job(batch_id=batch_id)
        await rig.store.close_batch(TEAM, batch_id)
        await rig.tell(TEAM, [batch_id])
        async with rig.carrying():
            await rig.ended(2)
        for at in (hook, other):
            [received] = at.received
            assert received.event["type"] == "batch.completed"
            assert received.event["data"]["request_counts"] == {"total": 1, "completed": 1, "failed": 0}
            assert received.id == "evt_01k9zzzzzzzzzzzzzzzzzzzzzz"


async def test_the_end_of_a_batch_whose_upload_goes_on_is_nothing_to_tell_until_it_ends_again(
    rig: WebhookRig, hook: Receiver
) -> None:
    batch = Batch("batch_01k9zzzzzzzzzzzzzzzzzzzzzz", TEAM, None, rig.clock.now(), is_open=True, webhook=hook.url)
    for times_before in range(2):
        await rig.store.open_batch(batch)
        await rig.end_job(batch_id=batch.id)
        if times_before:  # the news of the first end comes only now
            assert await rig.fan_out() == []
            assert (await rig.depth(), rig.events) == (0, [])
        await rig.store.close_batch(TEAM, batch.id)
        await rig.tell(TEAM, [batch.id])
    async with rig.carrying():
        await rig.ended(1)
    assert [received.id for received in hook.received] == ["evt_01k9zzzzzzzzzzzzzzzzzzzzzz_r1"]
    assert hook.received[0].event["data"]["request_counts"]["total"] == 2


async def test_an_endpoint_gets_the_types_it_wants_and_another_teams_gets_nothing(rig: WebhookRig) -> None:
    async with receiver() as everything, receiver() as failures, receiver() as strangers:
        for at, team, wanted in (
            (everything, TEAM, ()),
            (failures, TEAM, (EventType.JOB_FAILED,)),
            (strangers, OTHER_TEAM, ()),
        ):
            at.secret = (await rig.endpoint(at.url, *wanted, team=team)).secret.current
        await rig.end_job()
        failed = await rig.end_job(status=JobStatus.FAILED)
        async with rig.carrying():
            await rig.ended(3)
        assert [received.event["type"] for received in failures.received] == ["job.failed"]
        assert failures.received[0].event["data"]["id"] == failed.spec.id
        assert len(everything.received) == 2
        assert strangers.seen == {}
        assert await rig.all(OTHER_TEAM) == []


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


async def test_410_disables_the_endpoint_and_the_teams_others_hear_of_it(rig: WebhookRig) -> None:
    async with receiver() as gone, receiver() as other:
        gone.answers = [say(410)]
        endpoint = await rig.endpoint(gone.url)
        other.secret = (await rig.endpoint(other.url)).secret.current
        await rig.end_job()
        async with rig.carrying():
            await eventually(lambda: _count(other, 2))
            await rig.end_job()
            await eventually(lambda: _count(other, 3))
        assert list(gone.seen.values()) == [1]
        [told] = [received.event for received in other.received if received.event["type"] == "endpoint.disabled"]
        assert told["data"]["id"] == endpoint.id
        assert told["data"]["reason"] == "it answered 410"
        assert [event.endpoint_id for event in rig.events if isinstance(event, EndpointDisabled)] == [endpoint.id]
        [failed] = await rig.all(endpoint_id=endpoint.id)
        assert failed.status is DeliveryStatus.FAILED


async def test_an_endpoint_that_failed_for_five_days_is_disabled(rig: WebhookRig) -> None:
    async with receiver() as bad, receiver() as other:
        bad.answers = [say(500)]
        endpoint = await rig.endpoint(bad.url, EventType.JOB_SUCCEEDED)
        other.secret = (await rig.endpoint(other.url, EventType.ENDPOINT_DISABLED)).secret.current
        now = rig.clock.now()
        await rig.parts.endpoints.note_failing(TEAM, endpoint.id, Failing(now - GIVEN_UP_AFTER_S, now - 3600))
        await rig.end_job()
        async with rig.carrying():
            await eventually(lambda: _count(other, 1))
            await rig.ended(2)
        assert list(bad.seen.values()) == [1]
        [failed] = await rig.all(endpoint_id=endpoint.id)
        assert failed.attempts[-1].problem == "not sent: the endpoint is disabled"


async def test_a_success_ends_the_count_of_failing_days(rig: WebhookRig) -> None:
    async with receiver() as hook:
        hook.answers = [say(500), take]
        endpoint = await rig.endpoint(hook.url)
        hook.secret = endpoint.secret.current
        await rig.end_job()
        async with rig.carrying():
            await rig.ended(1)
        now = await rig.parts.endpoints.get(TEAM, endpoint.id)
        assert now == endpoint


async def test_retry_after_is_honoured_where_it_is_longer_than_the_wait(rig: WebhookRig, hook: Receiver) -> None:
    hook.answers = [say(429, retry_after="120"), say(503, retry_after="0"), take]
    await rig.end_job(hook.url)
    async with rig.carrying():
        await rig.ended(1)
    assert [round(waited) for waited in rig.queue.waited] == [120, 0]


async def test_a_response_that_makes_the_body_too_large_is_left_out_and_that_is_said(
    rig: WebhookRig, hook: Receiver
) -> None:
    await rig.end_job(hook.url, response={"text": "x" * LARGEST_BODY})
    async with rig.carrying():
        await rig.ended(1)
    [received] = hook.received
    assert received.event["data"]["response"] is None
    assert received.event["data"]["response_omitted"] is True
    assert len(received.raw) < 4096


async def test_a_response_that_lies_in_a_file_is_left_out_and_no_file_store_is_needed(
    rig: WebhookRig, hook: Receiver, tmp_path: Path
) -> None:
    large = LargeBodies(ObjectFiles((tmp_path / "files").as_uri()), inline_limit=100)
    rig.store = FiledJobStore(rig.store, large)
    job = await rig.end_job(hook.url, response={"text": "x" * 200})
    assert job.outcome is not None
    assert job.outcome.response_file is not None
    (tmp_path / "files").rename(tmp_path / "elsewhere")
    async with rig.carrying():
        [ended] = await rig.ended(1)
    assert ended.status is DeliveryStatus.DELIVERED
    [received] = hook.received
    assert (received.event["data"]["response"], received.event["data"]["response_omitted"]) == (None, True)


def test_an_event_has_the_same_bytes_whether_or_not_its_response_was_read_from_its_file() -> None:
    spec = JobSpec("job_1", TEAM, "/v1/chat/completions", "sim", "sim", Priority.STANDARD, 1.0)
    outcome = Outcome(JobStatus.SUCCEEDED, response_file=FileReference("results/a.json", 300))
    job = Job(spec, JobStatus.SUCCEEDED, outcome=outcome, finished_at=2.0, sequence=1)
    whole = replace(job, outcome=replace(outcome, response={"text": "x"}))
    event = end_of_job(job)
    assert event is not None
    assert body_about_job(event, job) == body_about_job(event, whole)


@pytest.mark.hazard(25)
async def test_a_slow_receiver_holds_up_nobody_else(valkey_url: str) -> None:
    async with webhook_rig(valkey_url, timeout_s=15) as rig, receiver() as slow, receiver() as quick:
        rig.queue.is_hasty = False
        slow.answers = [dawdle]
        slow.secret = quick.secret = await rig.secret()
        for _ in range(60):
            await rig.end_job(slow.url)
        quick_jobs = [await rig.end_job(quick.url) for _ in range(30)]
        began = rig.clock.monotonic()
        async with rig.carrying(concurrency=4):
            await eventually(lambda: _count(quick, len(quick_jobs)), within_s=15)
            took_s = rig.clock.monotonic() - began
            assert took_s < 14  # the first of the slow attempts is over after 15 s
            assert slow.most_at_once <= 4
            pending = [one for one in await rig.all() if one.status is DeliveryStatus.PENDING]
            assert len(pending) == 60
            assert {one.made for one in pending} == {0}, "who is put away has made no attempt"
            slow.answers = [take]
            slow.released.set()


@pytest.mark.hazard(25)
async def test_a_team_whose_receivers_are_all_slow_holds_up_no_other_team(valkey_url: str) -> None:
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(webhook_rig(valkey_url, timeout_s=15))
        rig.queue.is_hasty = False
        slow = [await stack.enter_async_context(receiver(await rig.secret())) for _ in range(4)]
        quick = await stack.enter_async_context(receiver(await rig.secret(OTHER_TEAM)))
        for each in slow:
            each.answers = [dawdle]
        for number in range(HANDS + 20):
            await rig.end_job(slow[number % 4].url)
        for _ in range(5):
            await rig.end_job(quick.url, team=OTHER_TEAM)
        async with rig.carrying(concurrency=HANDS):
            await eventually(lambda: _count(quick, 5), within_s=8)
            assert sum(each.most_at_once for each in slow) <= MOST_OF_A_TEAM
            for each in slow:
                each.answers = [take]
                each.released.set()


async def test_a_courier_that_is_lost_in_mid_delivery_has_its_attempt_made_again(valkey_url: str) -> None:
    async with webhook_rig(valkey_url, timeout_s=0.3) as rig, receiver(await rig.secret()) as hook:
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
        await eventually(lambda: _is_empty(rig))
    assert list(hook.seen.values()) == [1]


async def test_a_notice_that_is_told_twice_makes_one_delivery(rig: WebhookRig, hook: Receiver) -> None:
    job = await rig.end_job(hook.url)
    notice = Notice(TEAM, Mailbox.WEBHOOKS, job.spec.id)
    for _ in range(3):
        await rig.queue.publish(Mailbox.WEBHOOKS.queue, notice.message)
    async with rig.carrying():
        await rig.ended(1)
        await eventually(lambda: _is_empty(rig))
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
        await eventually(lambda: _is_empty(rig))
    assert [attempt.status for attempt in ended.attempts] == [500, 500, 204]


async def test_a_deleted_endpoint_gets_nothing_more_not_even_what_is_under_way(rig: WebhookRig) -> None:
    async with receiver() as hook:
        endpoint = await rig.endpoint(hook.url)
        await rig.end_job()
        await rig.fan_out()
        await rig.parts.endpoints.remove(TEAM, endpoint.id)
        async with rig.carrying():
            [delivery] = await rig.ended(1)
        assert delivery.attempts[-1].problem == "not sent: the endpoint was deleted"
        assert hook.seen == {}


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


async def test_a_message_that_cannot_be_read_goes_to_the_dead_letters(rig: WebhookRig, hook: Receiver) -> None:
    for body in (b"{", b"[]", b'{"delivery": {"team": "red"}}', b'{"notice": {"team": 7}}'):
        await rig.queue.publish(Mailbox.WEBHOOKS.queue, Message(body, "unreadable"))
    await rig.end_job(hook.url)
    async with rig.carrying():
        await rig.ended(1)
        await eventually(lambda: _is_empty(rig))
    assert len(await rig.queue.dead_letters(10)) == 4
    assert len([event for event in rig.events if isinstance(event, MessageBuried)]) == 4


async def test_no_secret_no_url_and_no_prompt_is_announced(rig: WebhookRig, hook: Receiver) -> None:
    hook.answers = [say(500), hang_up, take]
    endpoint = await rig.endpoint(f"{hook.url}?token=canary")
    await rig.end_job(f"{hook.url}?token=canary", response={"text": "canary"})
    hook.answers = [say(500)]
    async with rig.carrying():
        await rig.ended(2)
    said = repr(rig.events)
    assert "WebhookAttempted" in said
    assert len([event for event in rig.events if isinstance(event, WebhookAttempted)]) == 20
    for secret in ("canary", PROMPT, endpoint.secret.current, await rig.secret()):
        assert secret not in said
    assert "whsec_" not in repr(endpoint)


async def _count(hook: Receiver, count: int) -> bool:
    return len(hook.received) >= count


async def _is_empty(rig: WebhookRig) -> bool:
    return await rig.depth() == 0
