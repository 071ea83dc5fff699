"""The records of endpoints, secrets and deliveries keep what they are given, on a server and on a cluster."""

import asyncio
from dataclasses import replace

import pytest

from shared.adapters.redis.connection import Client
from shared.adapters.redis.deliveries import RedisDeliveries
from shared.adapters.redis.job_store import RedisJobStore
from shared.adapters.redis.keys import of_team
from shared.adapters.redis.outbox import RedisOutbox
from shared.adapters.redis.webhook_endpoints import RedisWebhookEndpoints
from shared.adapters.redis.webhook_secrets import RedisWebhookSecrets
from shared.domain.errors import AttemptComes
from shared.domain.lanes import Mailbox
from shared.domain.notices import Notice
from shared.domain.webhook_deliveries import (
    LOST_AFTER_S,
    MOST_ATTEMPTS,
    SOON_S,
    AttemptDue,
    DeliveryAttempt,
    DeliveryFilter,
    Turn,
)
from shared.domain.webhook_endpoints import MOST_ENDPOINTS, Failing
from shared.domain.webhook_schedule import DeliveryStatus, Ruling
from shared.domain.webhook_secrets import MOST_OLDER
from shared.domain.webhooks import EventType
from tests.contracts.store.examples import CREATED_AT, SUCCESS, TEAM, a_spec, claimed, new
from tests.contracts.store.webhook_examples import a_delivery, an_endpoint, an_event
from tests.eventually import eventually

LATER = CREATED_AT + 5.0
FAILED = DeliveryAttempt(CREATED_AT, 500, "no\u2028luck", 0.25)
PENDING = Ruling(DeliveryStatus.PENDING, LATER)
DELIVERED = Ruling(DeliveryStatus.DELIVERED)


@pytest.fixture
def endpoints(client: Client) -> RedisWebhookEndpoints:
    return RedisWebhookEndpoints(client)


@pytest.fixture
def deliveries(client: Client) -> RedisDeliveries:
    return RedisDeliveries(client)


async def notices_of_an_end(client: Client) -> tuple[Notice, ...]:
    """End a job of the team that names no webhook."""
    store, spec = RedisJobStore(client), a_spec()
    await store.accept([new(spec)])
    return (await store.finish(spec, (await claimed(store, spec)).fence, SUCCESS, ())).notices


async def test_an_endpoint_is_kept_as_it_is_and_newest_first(endpoints: RedisWebhookEndpoints) -> None:
    kept = [an_endpoint("we_1"), an_endpoint("we_2", EventType.JOB_FAILED, EventType.BATCH_COMPLETED)]
    for endpoint in kept:
        assert await endpoints.add(endpoint)
        assert await endpoints.get(TEAM, endpoint.id) == endpoint
    assert await endpoints.of_team(TEAM) == kept[::-1]
    assert await endpoints.of_team("another") == []
    assert await endpoints.get("another", "we_1") is None
    assert await endpoints.remove("another", "we_1") is None


async def test_a_team_has_so_many_endpoints_and_no_more(endpoints: RedisWebhookEndpoints) -> None:
    for number in range(MOST_ENDPOINTS):
        assert await endpoints.add(an_endpoint(f"we_{number}"))
    assert not await endpoints.add(an_endpoint("we_more"))
    await endpoints.remove(TEAM, "we_3")
    assert await endpoints.add(an_endpoint("we_more"))


async def test_an_end_is_told_while_the_team_has_an_enabled_endpoint(
    client: Client, endpoints: RedisWebhookEndpoints
) -> None:
    assert await notices_of_an_end(client) == ()
    for _ in range(2):  # the reply may be lost, and the call repeated
        await endpoints.add(an_endpoint("we_1"))
    assert [notice.mailbox for notice in await notices_of_an_end(client)] == [Mailbox.WEBHOOKS]
    for _ in range(2):
        await endpoints.disable(TEAM, "we_1", "a reason", LATER)
    assert await notices_of_an_end(client) == ()
    for _ in range(2):
        await endpoints.enable(TEAM, "we_1")
    assert len(await notices_of_an_end(client)) == 1
    await endpoints.disable(TEAM, "we_1", "a reason", LATER)
    for _ in range(2):
        await endpoints.remove(TEAM, "we_1")
    assert await notices_of_an_end(client) == ()
    assert await client.hget(of_team(TEAM).events, "endpoints") == b"0"


async def test_the_others_are_told_of_an_endpoint_that_is_disabled(
    client: Client, endpoints: RedisWebhookEndpoints
) -> None:
    await endpoints.add(an_endpoint("we_1"))
    assert await endpoints.disable(TEAM, "we_1", "a reason", LATER) == []
    await endpoints.enable(TEAM, "we_1")
    await endpoints.add(an_endpoint("we_2"))
    notice = Notice(TEAM, Mailbox.WEBHOOKS, "we_1")
    assert await endpoints.disable(TEAM, "we_1", "a reason", LATER) == [notice]
    assert await RedisOutbox(client).pending(TEAM, ["we_1"]) == [notice]
    assert await endpoints.disable(TEAM, "we_1", "another", LATER) is None
    disabled = await endpoints.get(TEAM, "we_1")
    assert disabled is not None
    assert (disabled.disabled_at, disabled.disabled_because) == (LATER, "a reason")
    assert disabled.end is not None
    assert disabled.end.sequence == 2


async def test_enabling_forgets_the_failures(endpoints: RedisWebhookEndpoints) -> None:
    endpoint = an_endpoint("we_1")
    await endpoints.add(endpoint)
    await endpoints.note_failing(TEAM, "we_1", Failing(CREATED_AT, LATER))
    assert await endpoints.get(TEAM, "we_1") == replace(endpoint, failing=Failing(CREATED_AT, LATER))
    await endpoints.disable(TEAM, "we_1", "a reason", LATER)
    enabled = await endpoints.enable(TEAM, "we_1")
    assert enabled is not None
    assert (enabled.disabled_at, enabled.failing) == (None, None)
    await endpoints.note_failing(TEAM, "we_gone", Failing(CREATED_AT, LATER))
    assert await endpoints.get(TEAM, "we_gone") is None


async def test_a_rotation_leaves_the_older_secret_valid_for_a_day(
    client: Client, endpoints: RedisWebhookEndpoints
) -> None:
    endpoint, secrets = an_endpoint("we_1"), RedisWebhookSecrets(client)
    await endpoints.add(endpoint)
    rotated = await endpoints.rotate(TEAM, "we_1", CREATED_AT)
    assert rotated is not None
    assert rotated.secret.valid_at(CREATED_AT + 86_399) == (rotated.secret.current, endpoint.secret.current)
    assert rotated.secret.valid_at(CREATED_AT + 86_400) == (rotated.secret.current,)
    assert await endpoints.rotate(TEAM, "we_gone", CREATED_AT) is None

    first, same = await asyncio.gather(secrets.secret(TEAM), secrets.secret(TEAM))
    second = await secrets.rotate(TEAM, CREATED_AT)
    assert first == same != await secrets.secret("another")
    assert second.valid_at(CREATED_AT) == (second.current, first.current)
    assert await secrets.secret(TEAM) == second


async def test_each_secret_that_was_rotated_signs_for_its_own_day_and_the_oldest_of_many_gives_way(
    client: Client,
) -> None:
    secrets, hour = RedisWebhookSecrets(client), 3600.0
    current = [(await secrets.secret(TEAM)).current]
    for number in range(MOST_OLDER + 2):
        rotated = await secrets.rotate(TEAM, CREATED_AT + number * hour)
        current.append(rotated.current)
        assert rotated.valid_at(CREATED_AT + number * hour) == tuple(current[-1 : -2 - MOST_OLDER : -1])
    assert rotated.valid_at(CREATED_AT + 86_400.0 + 4 * hour) == tuple(current[-1:-4:-1])
    assert rotated.older_until(CREATED_AT + 86_400.0) == CREATED_AT + 86_400.0 + 6 * hour
    late = await secrets.rotate(TEAM, CREATED_AT + 3 * 86_400.0)
    assert [older.secret for older in late.older] == [rotated.current]


async def test_a_delivery_begins_once(deliveries: RedisDeliveries) -> None:
    delivery = a_delivery("job_1", "we_1")
    assert await deliveries.begin([delivery, a_delivery("job_1", "we_2")]) == [delivery, a_delivery("job_1", "we_2")]
    await deliveries.note_queued(delivery.due)
    await deliveries.note(delivery, FAILED, PENDING)
    [again] = await deliveries.begin([delivery])
    assert (again.made, again.queued, again.attempts) == (1, 1, (FAILED,))
    assert await deliveries.begin([]) == []


async def test_an_attempt_is_made_by_one_at_a_time_and_noted_once(deliveries: RedisDeliveries) -> None:
    [delivery] = await deliveries.begin([a_delivery("job_1")])
    due = delivery.due
    assert (await deliveries.claim(due, CREATED_AT, 30)).turn is Turn.GRANTED
    assert (await deliveries.claim(due, CREATED_AT, 30)).turn is Turn.HELD
    assert await deliveries.note(delivery, FAILED, PENDING)
    assert not await deliveries.note(delivery, FAILED, DELIVERED)
    claim = await deliveries.claim(due, LATER, 30)
    assert (claim.turn, claim.delivery) == (Turn.OVER, await deliveries.get(TEAM, delivery.id))

    second = replace(due, number=2)
    assert (await deliveries.claim(second, LATER - 1, 30)).turn is Turn.EARLY
    assert (await deliveries.claim(second, LATER, 30)).turn is Turn.GRANTED
    assert claim.delivery is not None
    assert await deliveries.note(claim.delivery, FAILED, DELIVERED)
    assert (await deliveries.claim(replace(due, number=3), LATER, 30)).turn is Turn.OVER
    assert (await deliveries.claim(AttemptDue(TEAM, "dlv_gone", 1), LATER, 30)).turn is Turn.GONE


async def test_an_attempt_that_nobody_noted_is_made_again(deliveries: RedisDeliveries) -> None:
    [delivery] = await deliveries.begin([a_delivery("job_1")])
    assert (await deliveries.claim(delivery.due, CREATED_AT, 0.05)).turn is Turn.GRANTED

    async def is_granted() -> bool:
        return (await deliveries.claim(delivery.due, CREATED_AT, 30)).turn is Turn.GRANTED

    await eventually(is_granted)


async def test_a_delivery_begun_anew_has_a_new_first_attempt(deliveries: RedisDeliveries) -> None:
    [delivery] = await deliveries.begin([a_delivery("job_1")])
    await deliveries.note(delivery, FAILED, DELIVERED)
    anew = await deliveries.begin_anew(TEAM, delivery.id, LATER)
    assert anew is not None
    assert (anew.status, anew.round.tried, anew.round.began_at) == (DeliveryStatus.PENDING, 1, LATER)
    assert anew.due.number == 2
    assert (await deliveries.claim(anew.due, LATER, 30)).turn is Turn.GRANTED
    assert await deliveries.begin_anew("another", delivery.id, LATER) is None


async def test_a_delivery_is_not_begun_anew_while_an_attempt_comes_or_is_under_way(
    deliveries: RedisDeliveries,
) -> None:
    [delivery] = await deliveries.begin([a_delivery("job_1")])
    await deliveries.note_queued(delivery.due)
    for now in (CREATED_AT - SOON_S, CREATED_AT + 1, CREATED_AT + LOST_AFTER_S):
        with pytest.raises(AttemptComes):
            await deliveries.begin_anew(TEAM, delivery.id, now)
    assert await deliveries.get(TEAM, delivery.id) == replace(delivery, queued=1)
    assert await deliveries.begin_anew(TEAM, delivery.id, CREATED_AT + LOST_AFTER_S + 1)

    [delivery] = await deliveries.begin([a_delivery("job_2")])
    await deliveries.note_queued(delivery.due)
    assert (await deliveries.claim(delivery.due, CREATED_AT, 30)).turn is Turn.GRANTED
    with pytest.raises(AttemptComes):
        await deliveries.begin_anew(TEAM, delivery.id, CREATED_AT + LOST_AFTER_S + 1)
    far = CREATED_AT + SOON_S + 7
    await deliveries.note(delivery, FAILED, Ruling(DeliveryStatus.PENDING, far))
    await deliveries.note_queued(AttemptDue(TEAM, delivery.id, 2))
    for _ in range(2):  # the reply may be lost, and the call repeated
        anew = await deliveries.begin_anew(TEAM, delivery.id, CREATED_AT + 1)
        assert anew is not None
        assert (anew.due.number, anew.next_attempt_at, anew.round.tried) == (2, CREATED_AT + 1, 1)


async def test_a_delivery_whose_message_was_never_confirmed_can_be_begun_anew(deliveries: RedisDeliveries) -> None:
    [delivery] = await deliveries.begin([a_delivery("job_1")])
    for now in (CREATED_AT + 1, CREATED_AT + 2):
        assert await deliveries.begin_anew(TEAM, delivery.id, now)


async def test_a_delivery_keeps_its_last_attempts_and_counts_all(deliveries: RedisDeliveries) -> None:
    [delivery] = await deliveries.begin([a_delivery("job_1")])
    for number in range(MOST_ATTEMPTS + 3):
        assert await deliveries.note(replace(delivery, made=number), replace(FAILED, status=number), PENDING)
    kept = await deliveries.get(TEAM, delivery.id)
    assert kept is not None
    assert [attempt.status for attempt in kept.attempts] == list(range(3, MOST_ATTEMPTS + 3))
    assert kept.made == MOST_ATTEMPTS + 3


async def test_deliveries_are_listed_newest_first_by_what_they_are(deliveries: RedisDeliveries) -> None:
    made = [a_delivery(f"job_{number % 3}", f"we_{number % 2}", CREATED_AT + number) for number in range(6)]
    await deliveries.begin([*made, a_delivery("job_1", team="another")])
    await deliveries.note(made[3], FAILED, DELIVERED)

    async def listed(after: str | None = None, limit: int = 10, **wanted: object) -> list[str]:
        page = await deliveries.page(TEAM, DeliveryFilter(**wanted), after, limit)  # type: ignore[arg-type]  # named below
        return [delivery.id for delivery in page.deliveries]

    ids = [delivery.id for delivery in made]
    assert await listed() == ids[::-1]
    assert await listed(subject="job_1") == [ids[4], ids[1]]
    assert await listed(endpoint_id="we_0") == [ids[4], ids[2], ids[0]]
    assert await listed(status=DeliveryStatus.DELIVERED) == [ids[3]]
    first = await deliveries.page(TEAM, DeliveryFilter(), None, 2)
    assert first.next_after == ids[4]
    assert await listed(first.next_after, 2) == [ids[3], ids[2]]
    assert (await deliveries.page(TEAM, DeliveryFilter(), ids[2], 2)).next_after is None


async def test_a_delivery_is_forgotten_and_leaves_the_lists(client: Client, deliveries: RedisDeliveries) -> None:
    [gone] = await RedisDeliveries(client, kept_s=0.02).begin([a_delivery("job_1")])
    await deliveries.begin([a_delivery("job_2", at=LATER)])

    async def is_forgotten() -> bool:
        page = await deliveries.page(TEAM, DeliveryFilter(), None, 10)
        return [delivery.event.subject for delivery in page.deliveries] == ["job_2"]

    await eventually(is_forgotten)
    assert await deliveries.get(TEAM, gone.id) is None
    assert await client.zcard(of_team(TEAM).deliveries) == 1


async def overdue(deliveries: RedisDeliveries, before: float = LATER) -> list[str]:
    return [delivery.event.subject for delivery in await deliveries.overdue(before, 10)]


@pytest.fixture
async def known_team(client: Client) -> None:
    """A team is known by its jobs."""
    await RedisJobStore(client).accept([new(a_spec())])


@pytest.mark.usefixtures("known_team")
async def test_a_delivery_whose_next_message_nobody_has_published_is_overdue(deliveries: RedisDeliveries) -> None:
    [delivery, early] = await deliveries.begin([a_delivery("job_1"), a_delivery("job_2", at=LATER + 1)])
    assert await overdue(deliveries) == ["job_1"]
    await deliveries.note_queued(delivery.due)
    assert await overdue(deliveries) == []
    await deliveries.note(delivery, FAILED, PENDING)
    assert await overdue(deliveries, LATER - 1) == []
    assert await overdue(deliveries) == ["job_1"]
    again = await deliveries.get(TEAM, delivery.id)
    assert again is not None
    await deliveries.note_queued(delivery.due)  # of the attempt before: a repeated command
    assert await overdue(deliveries) == ["job_1"]
    await deliveries.note(again, FAILED, DELIVERED)
    assert await overdue(deliveries) == []
    await deliveries.note_queued(early.due)
    assert await overdue(deliveries, LATER + 9) == []


async def test_an_attempt_that_was_let_go_of_is_anybodys_at_once(deliveries: RedisDeliveries) -> None:
    [delivery] = await deliveries.begin([a_delivery("job_1")])
    assert (await deliveries.claim(delivery.due, LATER, 60.0)).turn is Turn.GRANTED
    assert (await deliveries.claim(delivery.due, LATER, 60.0)).turn is Turn.HELD
    await deliveries.let_go(delivery.due)
    assert (await deliveries.claim(delivery.due, LATER, 60.0)).turn is Turn.GRANTED


@pytest.mark.usefixtures("known_team")
async def test_a_delivery_begun_anew_is_overdue_though_its_message_for_later_is_published(
    deliveries: RedisDeliveries,
) -> None:
    [delivery] = await deliveries.begin([a_delivery("job_1")])
    await deliveries.note(delivery, FAILED, Ruling(DeliveryStatus.PENDING, LATER + 999))
    await deliveries.note_queued(replace(delivery.due, number=2))
    assert await overdue(deliveries, LATER + 1000) == []
    anew = await deliveries.begin_anew(TEAM, delivery.id, CREATED_AT + 1)
    assert await overdue(deliveries) == ["job_1"]
    assert anew is not None
    await deliveries.note_queued(anew.due)
    assert await overdue(deliveries) == []


@pytest.mark.usefixtures("known_team")
async def test_a_quiet_teams_deliveries_are_forgotten_and_leave_every_index(
    client: Client, deliveries: RedisDeliveries
) -> None:
    await RedisDeliveries(client, kept_s=0.02).begin([a_delivery(f"job_{number}") for number in range(3)])

    async def are_forgotten() -> bool:
        return await deliveries.forget(10) == 3

    await eventually(are_forgotten)
    assert await overdue(deliveries) == []
    keys = of_team(TEAM)
    for index in (keys.deliveries, keys.expiring_deliveries, keys.unpublished_deliveries):
        assert await client.zcard(index) == 0


def test_the_id_of_a_delivery_follows_from_the_event_and_the_place() -> None:
    event = an_event("job_1")
    ids = {a_delivery("job_1").id, a_delivery("job_1", "we_1").id, a_delivery("job_2").id}
    assert len(ids) == 3
    assert a_delivery("job_1", "we_1").id == a_delivery("job_1", "we_1").id
    assert a_delivery("job_1").id < a_delivery("job_1", at=event.at + 0.01).id
