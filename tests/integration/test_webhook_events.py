"""What webhooks tell of the end of a job or a batch, and to whom."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.adapters.files.filed_job_store import FiledJobStore
from shared.adapters.files.object_files import ObjectFiles
from shared.domain.batches import Batch
from shared.domain.events import WebhookAttempted
from shared.domain.files import FileReference, LargeBodies
from shared.domain.job import Job, JobSpec, JobStatus, Outcome
from shared.domain.lanes import Priority
from shared.domain.webhook_schedule import DeliveryStatus
from shared.domain.webhooks import LARGEST_BODY, EventType, end_of_job
from shared.wire.job_object import render_job
from shared.wire.webhook_events import body_about_job
from tests.integration.webhook_rig import OTHER_TEAM, PROMPT, TEAM, WebhookRig, webhook_rig
from tests.servers.receiver import Receiver, hang_up, receiver, say, take


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
