"""Whoever must be told of an end is noted in the step that ends it."""

from dataclasses import replace

import pytest

from shared.adapters.redis.connection import Client
from shared.adapters.redis.keys import of_team
from shared.adapters.redis.outbox import RedisOutbox
from shared.domain.callbacks import Callback
from shared.domain.job import JobSpec
from shared.domain.job_store import JobStore
from shared.domain.lanes import Mailbox
from shared.domain.notices import Notice, Outbox
from tests.contracts.store.examples import FAILURE, SUCCESS, TEAM, a_batch, a_spec, claimed, new, queued, seen

WEBHOOK = Callback(webhook="https://example.com/hook")
REPLY = Callback(reply_to="forebay.reply.me", correlation_id="c-1")


@pytest.fixture
def outbox(client: Client) -> Outbox:
    return RedisOutbox(client)


async def subscribe(client: Client, count: int = 1) -> None:
    """Have the team enable webhook endpoints."""
    await client.hset(of_team(TEAM).events, "endpoints", str(count))


def to(mailbox: Mailbox, subject: str, team: str = TEAM) -> Notice:
    return Notice(team, mailbox, subject)


async def end(store: JobStore, spec: JobSpec) -> tuple[Notice, ...]:
    """Have a worker end a job; give the notices it is told to publish."""
    return (await store.finish(spec, (await claimed(store, spec)).fence, SUCCESS, ())).notices


@pytest.mark.parametrize(
    ("callback", "mailboxes"),
    [(WEBHOOK, [Mailbox.WEBHOOKS]), (REPLY, [Mailbox.REPLIES]), (Callback(), [])],
    ids=["webhook", "reply", "nobody"],
)
async def test_the_end_of_a_job_and_its_notices_are_one_step(
    store: JobStore, outbox: Outbox, callback: Callback, mailboxes: list[Mailbox]
) -> None:
    spec = await queued(store, a_spec(callback=callback))
    assert await outbox.pending(TEAM, [spec.id]) == []
    told = await end(store, spec)
    assert list(told) == await outbox.pending(TEAM, [spec.id]) == [to(mailbox, spec.id) for mailbox in mailboxes]


async def test_a_team_with_endpoints_is_told_of_every_end(client: Client, store: JobStore, outbox: Outbox) -> None:
    spec, of_another, reply = a_spec(), a_spec("another"), a_spec(callback=REPLY)
    await subscribe(client)
    for each in (spec, of_another, reply):
        await end(store, await queued(store, each))
    assert await outbox.pending(TEAM, [spec.id]) == [to(Mailbox.WEBHOOKS, spec.id)]
    assert await outbox.pending("another", [of_another.id]) == []
    assert set(await outbox.pending(TEAM, [reply.id])) == {to(mailbox, reply.id) for mailbox in Mailbox}


async def test_a_team_whose_endpoints_are_all_gone_is_told_nothing(
    client: Client, store: JobStore, outbox: Outbox
) -> None:
    await subscribe(client, 0)
    spec = await queued(store)
    assert await end(store, spec) == ()
    assert await outbox.pending(TEAM, [spec.id]) == []


async def test_only_the_call_that_ended_it_gives_the_notices_and_a_repeat_asks_the_outbox(
    store: JobStore, outbox: Outbox
) -> None:
    spec = await queued(store, a_spec(callback=WEBHOOK))
    fence = (await claimed(store, spec)).fence
    first, again = [await store.finish(spec, fence, FAILURE, ()) for _ in range(2)]
    assert (first.notices, again.is_ours, again.notices) == ((to(Mailbox.WEBHOOKS, spec.id),), True, ())
    assert await outbox.pending(TEAM, [spec.id]) == list(first.notices)


async def test_a_cancelled_job_is_told(store: JobStore, outbox: Outbox) -> None:
    spec = await queued(store, a_spec(callback=REPLY))
    for _ in range(2):
        await store.cancel(TEAM, spec.id)
    assert await outbox.pending(TEAM, [spec.id]) == [to(Mailbox.REPLIES, spec.id)]


async def test_a_job_that_was_answered_at_once_is_told(store: JobStore, outbox: Outbox) -> None:
    spec = a_spec(callback=WEBHOOK)
    [accepted] = await store.accept([new(spec, outcome=SUCCESS)])
    assert list(accepted.notices) == await outbox.pending(TEAM, [spec.id]) == [to(Mailbox.WEBHOOKS, spec.id)]


@pytest.mark.parametrize("last", ["its last job ends", "its last line comes in"])
async def test_the_end_of_a_batch_is_told_once_whatever_ends_it(store: JobStore, outbox: Outbox, last: str) -> None:
    await store.open_batch(replace(a_batch(), webhook="https://example.com/batch"))
    spec = await queued(store, a_spec(batch_id="batch_1"))
    assert await outbox.pending(TEAM, ["batch_1"]) == []
    if last == "its last job ends":
        await store.close_batch(TEAM, "batch_1")
        assert await end(store, spec) == (to(Mailbox.WEBHOOKS, "batch_1"),)
    else:
        assert await end(store, spec) == ()
        await store.close_batch(TEAM, "batch_1")
    await store.close_batch(TEAM, "batch_1")
    assert await outbox.pending(TEAM, ["batch_1", spec.id]) == [to(Mailbox.WEBHOOKS, "batch_1")]
    batch = await store.batch(TEAM, "batch_1")
    assert batch is not None
    assert batch.sequence is not None
    assert batch.sequence > ((await seen(store, spec)).sequence or 0)


async def test_what_was_published_is_taken_out_and_the_rest_stays(store: JobStore, outbox: Outbox) -> None:
    both = Callback(WEBHOOK.webhook, REPLY.reply_to)
    one, other = await queued(store, a_spec(callback=both)), await queued(store, a_spec("another", callback=WEBHOOK))
    for spec in (one, other):
        await end(store, spec)
    await outbox.remove([to(Mailbox.WEBHOOKS, one.id), to(Mailbox.WEBHOOKS, other.id, "another")])
    assert await outbox.pending(TEAM, [one.id]) == [to(Mailbox.REPLIES, one.id)]
    assert await outbox.pending("another", [other.id]) == []


async def test_notices_of_all_teams_that_wait_for_long_are_overdue(store: JobStore, outbox: Outbox) -> None:
    specs = [await queued(store, a_spec(team, callback=WEBHOOK)) for team in (TEAM, "another", TEAM)]
    for spec in specs:
        await end(store, spec)
    assert await outbox.overdue(60.0, 9) == []
    found = await outbox.overdue(0.0, 9)
    assert {notice.subject for notice in found} == {spec.id for spec in specs}
    assert len(await outbox.overdue(0.0, 2)) == 2
    await outbox.remove(found)
    assert await outbox.overdue(0.0, 9) == []
