"""Submissions by messages: what becomes of good ones, bad ones, and those that came twice."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import aio_pika
import orjson
import pytest

from producer_api import amqp_submissions
from producer_api.schemas import JobObject
from shared.domain.allowances import Allowance, Policies, TeamPolicy, Terms
from shared.domain.answer_cache import CacheKey
from shared.domain.door import Parcel
from shared.domain.errors import StoreUnavailable, Unroutable
from shared.domain.events import ArrivalCrashed, SubmissionBuried
from shared.domain.job import Job
from shared.domain.lanes import QueueName
from shared.domain.tenants import Principal, Scope
from shared.domain.work_queue import REJECTION, Message
from shared.wire import envelope
from tests.eventually import eventually
from tests.integration.api_rig import BODY_LIMIT, CHAT, KEY, SUBMISSION, TEAM, Answer
from tests.integration.desk_rig import Desk, WatchedDoor, WatchedParcel, open_desk
from tests.servers.rabbitmq import RestartableRabbitMQ


@pytest.fixture(autouse=True)
def _short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amqp_submissions, "AFTER_TROUBLE_S", 0.05)


@pytest.fixture
async def desk(restartable_rabbitmq: RestartableRabbitMQ, valkey_url: str) -> AsyncIterator[Desk]:
    async with open_desk(restartable_rabbitmq.url, valkey_url) as desk:
        yield desk


async def test_a_submission_by_message_makes_the_job_that_one_over_http_makes(desk: Desk) -> None:
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await desk.submit(SUBMISSION | {"priority": "bulk"}, headers={"traceparent": traceparent}, correlation_id="c-1")
    job = JobObject.model_validate(await desk.job())
    assert (job.status, job.priority) == ("queued", "bulk")
    assert job.callback is not None
    assert (job.callback.reply_to, job.callback.correlation_id) == (desk.replies.name, "c-1")
    assert job.callback.reply is None
    await (
        desk.nothing_waits()
    )  # the job is listed before its message is confirmed, the submission acknowledged after it
    [published] = desk.api.queue.published
    carried = envelope.decode(published.message.body)
    assert (carried.request, carried.spec.id, carried.traceparent) == (CHAT, job.id, traceparent)


async def test_a_key_may_come_as_x_api_key_and_nobody_need_be_told_of_the_end(desk: Desk) -> None:
    await desk.submit(key=None, headers={"X-API-Key": KEY}, reply_to=None, correlation_id="unused")
    assert (await desk.job())["callback"] is None


async def test_many_submissions_at_once_make_a_job_each(desk: Desk) -> None:
    for number in range(150):
        await desk.submit({"request": CHAT | {"seed": number}})

    async def all_are_there() -> bool:
        return len((await desk.api.get("/v1/jobs?limit=200")).json["data"]) == 150

    await eventually(all_are_there)
    await desk.nothing_waits()


@pytest.mark.hazard(28)
async def test_a_reply_aimed_at_a_queue_that_is_none_for_replies_is_refused_and_not_sent(desk: Desk) -> None:
    made = ["forebay.requests.gpt-4o-mini.standard.of-the-test", "forebay.repliesx", "xforebay.reply.q"]
    queues = [await desk.channel.declare_queue(name, exclusive=True) for name in made]
    names = [*made, "forebay.dead", "forebay.submit", "forebay.replies", "forebay.reply.", "amq.gen-abc"]
    for name in names:
        await desk.submit(reply_to=name)
        await desk.submit(b"{", reply_to=name)
    await desk.nothing_waits()
    letters = await desk.api.queue.dead_letters(100)
    assert sorted(letter.message.headers["reply_to"] for letter in letters) == sorted(names * 2)
    assert all(letter.reason == "reply_to_not_allowed" for letter in letters)
    assert all("`reply_to` must be `amq.rabbitmq.reply-to`" in str(letter.rejection) for letter in letters)
    assert desk.api.events == [SubmissionBuried("reply_to_not_allowed")] * len(letters)
    assert await desk.jobs() == 0
    assert [await queue.get(fail=False) for queue in queues] == [None] * len(queues)


async def test_a_rejected_submission_is_told_what_http_tells(desk: Desk) -> None:
    bodies: list[dict[str, Any] | bytes] = [
        SUBMISSION | {"priorty": "bulk"},
        {"request": CHAT | {"model": "gpt-4o-mni"}},
        SUBMISSION | {"callback": {"webhok": "x"}},
        orjson.dumps(SUBMISSION) + b" " * BODY_LIMIT,
        b"{",
        b"",
        b"[]",
        b"\xff",
    ]
    for body in bodies:
        over_http = await desk.api.post_raw(body if isinstance(body, bytes) else orjson.dumps(body))
        await desk.submit(body, correlation_id="c-1")
        told = await desk.reply()
        assert told.error == over_http.error
        assert (told.message.correlation_id, told.message.headers) == ("c-1", {})
    assert await desk.jobs() == 0


@pytest.mark.parametrize(("key", "code"), [("fb-wrong", "invalid_api_key"), (None, "invalid_api_key")])
async def test_a_submission_with_a_wrong_key_is_rejected(desk: Desk, key: str | None, code: str) -> None:
    await desk.submit(key=key)
    told = await desk.reply()
    assert told.error["code"] == code
    assert told.error == (await desk.api.call("POST", "/v1/jobs", key, SUBMISSION)).error
    assert await desk.jobs() == 0


async def test_a_key_without_the_scope_may_not_submit(
    restartable_rabbitmq: RestartableRabbitMQ, valkey_url: str
) -> None:
    class Readers:
        async def principal(self, _key: str) -> Principal | None:
            return Principal(TEAM, frozenset({Scope.READ}))

    async with open_desk(restartable_rabbitmq.url, valkey_url, keyring=Readers()) as desk:
        await desk.submit()
        assert (await desk.reply()).error["code"] == "not_allowed"


async def test_over_a_limit_the_error_is_that_of_http_and_tells_when_to_come_back(
    restartable_rabbitmq: RestartableRabbitMQ, valkey_url: str
) -> None:
    policies = Policies(Allowance(), {TEAM: TeamPolicy(Terms(Allowance(requests_per_day=1)))})
    async with open_desk(restartable_rabbitmq.url, valkey_url, policies=policies) as desk:
        await desk.submit()
        await desk.job()
        over_http: Answer = await desk.api.submit()
        await desk.submit()
        told = await desk.reply()
        assert told.error == over_http.error
        assert told.error["code"] == "limit_exceeded"
        waits = int(str(told.message.headers["retry-after"]))
        assert waits == pytest.approx(int(over_http.headers["retry-after"]), abs=5)
        assert await desk.jobs() == 1
        await desk.submit(message_id="m-1")
        await desk.submit(message_id="m-1")
        again = [(await desk.reply()).message.message_id for _ in range(2)]
        assert len({told.message.message_id, *again}) == 3  # nobody takes the second refusal for the first one


@pytest.mark.hazard(4)
@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[1]", b""])
async def test_a_submission_that_cannot_be_read_is_told_so_and_kept_with_the_reason(desk: Desk, body: bytes) -> None:
    await desk.submit(body, message_id="m-1", correlation_id="c-1")
    told = await desk.reply()
    letter = await desk.dead_letter()
    assert told.error["code"] == "invalid_json"
    assert (letter.reason, letter.rejection) == ("invalid_json", told.error["message"])
    assert letter.message.body == body
    names = {"message_id": "m-1", "correlation_id": "c-1", "reply_to": desk.replies.name, REJECTION: letter.rejection}
    assert letter.message.headers == names  # and not the key


@pytest.mark.parametrize("reply_to", [None, "forebay.reply.nobody", "amq.rabbitmq.reply-to.gone"])
async def test_a_rejection_that_nobody_can_be_told_of_is_a_dead_letter(desk: Desk, reply_to: str | None) -> None:
    await desk.submit(SUBMISSION | {"priorty": "bulk"}, reply_to=reply_to)
    await desk.nothing_waits()
    letter = await desk.dead_letter()
    assert letter.reason == "unknown_parameter"
    assert "priorty" in str(letter.rejection)
    assert desk.api.events == [SubmissionBuried("unknown_parameter")]


async def test_a_failure_of_our_own_is_told_as_one_and_the_message_is_kept(
    restartable_rabbitmq: RestartableRabbitMQ, valkey_url: str
) -> None:
    class Broken:
        async def look_up_many(self, _keys: Sequence[CacheKey | None]) -> None:
            raise KeyError("secret")

    async with open_desk(restartable_rabbitmq.url, valkey_url, cache=Broken()) as desk:
        await desk.submit()
        assert (await desk.reply()).error["code"] == "internal_error"
        assert "secret" not in str(await desk.dead_letter())
        assert ArrivalCrashed("", "KeyError") in desk.api.events


async def test_while_the_broker_or_the_store_is_away_a_submission_waits_and_is_not_lost(desk: Desk) -> None:
    desk.api.queue.away_after = 0
    await desk.submit(message_id="m-1")

    async def was_tried() -> bool:
        return bool((await desk.api.get("/v1/jobs")).json["data"])

    await eventually(was_tried)
    desk.api.queue.away_after = None

    async def is_published() -> bool:
        return len(desk.api.queue.published) == 1

    await eventually(is_published)
    assert (await desk.job())["status"] == "queued"
    await desk.nothing_waits()


class _NamelessDoor(WatchedDoor):
    """A door for clients that give their messages no id: the library of the tests makes one up."""

    async def take(self) -> Parcel:
        parcel = WatchedParcel(await self._next(), self)
        parcel.message_id = None
        return parcel


async def test_who_submits_without_a_message_id_is_not_told_of_tries_that_came_to_nothing(
    restartable_rabbitmq: RestartableRabbitMQ, valkey_url: str
) -> None:
    async with open_desk(restartable_rabbitmq.url, valkey_url, _NamelessDoor) as desk:
        desk.api.queue.away_after = 0
        withdraw, tries = desk.api.store.withdraw, list[str]()

        async def note(team: str, job_id: str) -> Job | None:
            tries.append(job_id)
            return await withdraw(team, job_id)

        async def was_tried_again() -> bool:
            return len(tries) > 1

        desk.api.store.withdraw = note  # type: ignore[method-assign]  # the rig's own
        await desk.submit(correlation_id="c-1")
        await eventually(was_tried_again)
        desk.api.queue.away_after = None
        await desk.nothing_waits()
        job = await desk.job()
        assert job["status"] == "queued"
        assert await desk.api.parts.outbox.pending(TEAM, [*tries, job["id"]]) == []
        await desk.finish(job["id"])
        async with desk.courier():
            told = await desk.reply()
        assert (told.json["id"], told.json["status"]) == (job["id"], "succeeded")
        await desk.nothing_waits()


async def test_a_keyring_that_cannot_be_asked_rejects_nobody(
    restartable_rabbitmq: RestartableRabbitMQ, valkey_url: str
) -> None:
    class Away:
        asked = 0

        async def principal(self, _key: str) -> Principal | None:
            self.asked += 1
            if self.asked == 1:
                raise StoreUnavailable
            return Principal(TEAM)

    async with open_desk(restartable_rabbitmq.url, valkey_url, keyring=Away()) as desk:
        await desk.submit()
        await desk.nothing_waits()
        assert (await desk.job())["status"] == "queued"


async def test_a_repeated_message_id_makes_one_job_which_is_told_once_until_it_is_finished(desk: Desk) -> None:
    for correlation_id in ("c-1", "c-2"):
        await desk.submit(message_id="m-1", correlation_id=correlation_id)
        await desk.nothing_waits()
    job = await desk.job()
    await desk.finish(job["id"])
    async with desk.courier():
        first = await desk.reply()
    assert (first.message.correlation_id, first.json["status"]) == ("c-1", "succeeded")

    await desk.submit(message_id="m-1", correlation_id="c-3")
    again = await desk.reply()
    assert (again.message.correlation_id, again.message.message_id) == ("c-3", first.message.message_id)
    assert again.json["id"] == job["id"]
    assert again.json["response"] == first.json["response"]
    await desk.nothing_waits()
    assert await desk.jobs() == 1


async def test_a_message_id_with_another_body_is_a_conflict_over_http_too(desk: Desk) -> None:
    assert (await desk.api.submit(idempotency_key="m-1")).status == 202
    await desk.submit(SUBMISSION | {"priority": "bulk"}, message_id="m-1")
    assert (await desk.reply()).error["code"] == "idempotency_conflict"
    await desk.submit(message_id="m\n1")
    assert (await desk.reply()).error["param"] == "message_id"


async def test_a_job_that_is_answered_at_once_is_told_once(desk: Desk) -> None:
    first = (await desk.api.submit()).json
    await desk.api.know_the_answer((await desk.api.job(first["id"])).spec)
    async with desk.courier():
        await desk.submit(correlation_id="c-1")
        told = await desk.reply()
        assert (told.json["cache"], told.json["status"], told.message.correlation_id) == ("hit", "succeeded", "c-1")
        await desk.nothing_waits()


class _CrashingParcel(WatchedParcel):
    """What was settled, as far as this process knows; the broker never hears of it."""

    async def ack(self) -> None:
        self._door.acknowledged += 1

    async def give_back(self) -> None:
        return


class _CrashingDoor(WatchedDoor):
    """A door of a process that dies before it acknowledges."""

    async def take(self) -> Parcel:
        return _CrashingParcel(await self._next(), self)


async def test_an_api_that_dies_between_the_accepted_job_and_the_acknowledgement_makes_one_job(
    restartable_rabbitmq: RestartableRabbitMQ, valkey_url: str
) -> None:
    async with await aio_pika.connect(restartable_rabbitmq.url) as connection, connection.channel() as channel:
        replies = await channel.declare_queue("forebay.reply.of-the-patient", auto_delete=True)
        async with open_desk(restartable_rabbitmq.url, valkey_url, _CrashingDoor) as dying:
            await dying.submit(message_id="m-1", reply_to=replies.name)
            job = await dying.job()
            await dying.nothing_waits()
        async with open_desk(restartable_rabbitmq.url, valkey_url) as desk:
            await desk.nothing_waits(submitted=1)
            assert (await desk.job())["id"] == job["id"]
            assert desk.api.queue.published == []
            await desk.finish(job["id"])
            desk.replies = replies
            async with desk.courier():
                assert (await desk.reply()).json["id"] == job["id"]
            await desk.nothing_waits(submitted=1)


async def test_a_submission_that_the_dead_letters_do_not_take_waits(desk: Desk) -> None:
    bury, tries = desk.api.queue.bury, list[str]()

    async def bury_at_the_second_try(message: Message, reason: str, queue: QueueName | None = None) -> None:
        tries.append(reason)
        if len(tries) == 1:
            raise Unroutable
        await bury(message, reason, queue)

    desk.api.queue.bury = bury_at_the_second_try  # type: ignore[method-assign]  # the rig's own
    await desk.submit(b"{", reply_to=None)
    assert (await desk.dead_letter()).message.body == b"{"
    assert len(tries) == 2
    await desk.nothing_waits()
