"""The last change of each provider is kept, and each team with endpoints is told of it once."""

import pytest

from shared.adapters.redis.connection import Client
from shared.adapters.redis.keys import of_team
from shared.adapters.redis.outbox import RedisOutbox
from shared.adapters.redis.provider_changes import RedisProviderChanges
from shared.adapters.redis.webhook_endpoints import RedisWebhookEndpoints
from shared.domain.lanes import Mailbox
from shared.domain.notices import Notice
from shared.domain.provider_changes import ProviderChange, ProviderChanges, ProviderStatus, never_down
from shared.domain.webhook_deliveries import KEPT_S
from tests.contracts.store.examples import CREATED_AT, TEAM
from tests.contracts.store.webhook_examples import an_endpoint

LANE = "openai/gpt: {4o}\n"
FIRST = never_down(LANE, "d 1")
DOWN = ProviderChange(LANE, "d 1", ProviderStatus.DOWN, CREATED_AT + 0.123456)
BACK = ProviderChange(LANE, "d 1", ProviderStatus.UP, CREATED_AT + 60.0)


@pytest.fixture
def changes(client: Client) -> ProviderChanges:
    return RedisProviderChanges(client)


@pytest.fixture
def endpoints(client: Client) -> RedisWebhookEndpoints:
    return RedisWebhookEndpoints(client)


def notice(change: ProviderChange, team: str = TEAM) -> Notice:
    return Notice(team, Mailbox.WEBHOOKS, change.id)


async def test_a_change_takes_the_place_of_the_one_that_was_seen_before_it_and_of_no_other(
    changes: ProviderChanges,
) -> None:
    assert await changes.last() == []
    assert [await changes.note(FIRST, DOWN), await changes.note(FIRST, BACK)] == [True, False]
    assert await changes.last() == [DOWN]
    assert [await changes.note(DOWN, DOWN.as_told()), await changes.note(DOWN, BACK)] == [True, False]
    assert await changes.note(DOWN.as_told(), BACK)
    other = ProviderChange(LANE, "d2", ProviderStatus.DOWN, CREATED_AT)
    assert await changes.note(never_down(LANE, "d2"), other)
    assert sorted(await changes.last(), key=lambda change: change.deployment) == [BACK, other]


async def test_each_team_with_an_endpoint_is_told_once_though_it_never_had_a_job(
    client: Client, changes: ProviderChanges, endpoints: RedisWebhookEndpoints
) -> None:
    for team in (TEAM, "another", "one that left"):
        assert await endpoints.add(an_endpoint("we_1", team=team))
    await endpoints.remove("one that left", "we_1")
    expected = [notice(DOWN, team) for team in sorted((TEAM, "another"))]
    assert await changes.tell(DOWN) == expected
    assert await changes.tell(DOWN) == []
    outbox = RedisOutbox(client)
    assert await outbox.overdue(-1.0, 10) == expected
    await outbox.remove(expected)
    assert await changes.tell(DOWN) == []
    assert await outbox.overdue(-1.0, 10) == []


async def test_a_teams_changes_have_their_place_among_its_events_and_are_kept_for_as_long_as_deliveries(
    client: Client, changes: ProviderChanges, endpoints: RedisWebhookEndpoints
) -> None:
    await endpoints.add(an_endpoint("we_1"))
    for change in (DOWN, BACK, DOWN):
        await changes.tell(change)
    assert [await changes.told(TEAM, change.id) for change in (DOWN, BACK)] == [(DOWN, 1), (BACK, 2)]
    assert await changes.told("another", DOWN.id) is None
    left_s = await client.ttl(of_team(TEAM).provider_change(DOWN.id))
    assert KEPT_S - 600 < left_s <= KEPT_S
