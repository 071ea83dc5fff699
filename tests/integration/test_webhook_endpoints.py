"""When an endpoint is disabled or deleted, nothing more is sent to it."""

from collections.abc import AsyncIterator

import pytest

from shared.domain.events import EndpointDisabled
from shared.domain.webhook_endpoints import GIVEN_UP_AFTER_S, Failing
from shared.domain.webhook_schedule import DeliveryStatus
from shared.domain.webhooks import EventType
from tests.eventually import eventually
from tests.integration.webhook_rig import TEAM, WebhookRig, webhook_rig
from tests.servers.receiver import receiver, say, take


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[WebhookRig]:
    async with webhook_rig(valkey_url) as rig:
        yield rig


async def test_410_disables_the_endpoint_and_the_teams_others_hear_of_it(rig: WebhookRig) -> None:
    async with receiver() as gone, receiver() as other:
        gone.answers = [say(410)]
        endpoint = await rig.endpoint(gone.url)
        other.secret = (await rig.endpoint(other.url)).secret.current
        await rig.end_job()
        async with rig.carrying():
            await eventually(lambda: other.has_received(2))
            await rig.end_job()
            await eventually(lambda: other.has_received(3))
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
            await eventually(lambda: other.has_received(1))
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
