"""The end of a job reaches the queue that its submission named, or the job says that it did not."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from producer_api.schemas import JobObject
from shared.adapters.files.object_files import ObjectFiles
from shared.adapters.files.whole_jobs import WholeJobs
from shared.domain.errors import StoreUnavailable
from shared.domain.events import MessageBuried, ReplyUndeliverable
from shared.domain.files import LargeBodies
from shared.domain.lanes import DEFAULT_WEIGHTS, Mailbox
from shared.domain.work_queue import Delivery, Message
from shared.wire import replies
from tests.eventually import eventually
from tests.integration.api_rig import ANSWER, TEAM
from tests.integration.desk_rig import Desk, open_desk
from tests.servers.rabbitmq import RestartableRabbitMQ
from workers.couriers.reply_courier import LOOK_AGAIN_AFTER_S, LOOKS, TRIES, TRY_AGAIN_AFTER_S


@pytest.fixture
async def desk(restartable_rabbitmq: RestartableRabbitMQ, valkey_url: str) -> AsyncIterator[Desk]:
    async with open_desk(restartable_rabbitmq.url, valkey_url) as desk:
        yield desk


async def queued(desk: Desk, **properties: Any) -> str:  # noqa: ANN401 - each property has its type
    """Submit a job, and wait until the API has done with it: the job is listed before its message is published."""
    await desk.submit(**properties)
    await desk.nothing_waits()
    return str((await desk.job())["id"])


async def finished(desk: Desk, **properties: Any) -> str:  # noqa: ANN401 - each property has its type
    """Submit a job and have it done; its notice is in the mailbox."""
    job_id = await queued(desk, **properties)
    await desk.finish(job_id)
    return job_id


async def seen(desk: Desk, job_id: str) -> dict[str, Any]:
    """Give the job as its team sees it."""
    answer: dict[str, Any] = (await desk.api.get(f"/v1/jobs/{job_id}")).json
    JobObject.model_validate(answer)
    return answer


async def reported(desk: Desk, job_id: str) -> dict[str, Any]:
    """Wait until the job tells what became of the reply."""

    async def look() -> dict[str, Any] | None:
        reply: dict[str, Any] | None = (await seen(desk, job_id))["callback"]["reply"]
        return reply

    reply = await eventually(look)
    assert reply is not None
    return reply


async def take(desk: Desk) -> Delivery:
    """Take a notice out of the mailbox, as a courier does."""
    intake = desk.api.queue.intake(Mailbox.REPLIES.value, DEFAULT_WEIGHTS, 1)
    delivery = await intake.take()
    await intake.close()
    return delivery


async def test_the_end_of_a_job_is_told_to_its_queue_as_http_shows_it(desk: Desk) -> None:
    job_id = await finished(desk, correlation_id="c-1")
    before = await seen(desk, job_id)
    async with desk.courier():
        told = await desk.reply()
        assert (told.json, told.message.type, told.message.correlation_id) == (before, "job", "c-1")
        assert told.message.message_id == f"reply_{job_id}"
        report = await reported(desk, job_id)
    assert (report["status"], report["message"]) == ("delivered", None)
    await desk.nothing_waits()


async def test_a_cancelled_job_is_told_too(desk: Desk) -> None:
    await desk.submit()
    job_id = (await desk.job())["id"]
    async with desk.courier():
        await desk.api.call("POST", f"/v1/jobs/{job_id}/cancel")
        assert (await desk.reply()).json["status"] == "cancelled"


async def test_a_queue_that_is_not_there_is_waited_for_and_then_reported_on_the_job(desk: Desk) -> None:
    job_id = await finished(desk, reply_to="forebay.reply.nobody")
    courier = desk.carrier()
    for tries, delay_s in enumerate(TRY_AGAIN_AFTER_S):
        notice = await take(desk)
        await courier.handle(notice)
        again = desk.api.queue.published[-1]
        assert (again.queue, again.delay_s) == (Mailbox.REPLIES.queue, delay_s)
        assert again.message == Message(notice.message.body, job_id, {TRIES: str(tries + 1)})
        assert (await seen(desk, job_id))["callback"]["reply"] is None
        # The rig waits for nothing: the same message, without its delay.
        await desk.api.queue.publish(Mailbox.REPLIES.queue, again.message)
    await courier.handle(await take(desk))
    report = await reported(desk, job_id)
    assert (report["status"], report["message"]) == (
        "undeliverable",
        "No queue took the message for `forebay.reply.nobody`.",
    )
    assert desk.events == [ReplyUndeliverable(job_id, TEAM)]


async def test_a_queue_that_comes_back_gets_its_reply(desk: Desk) -> None:
    job_id = await finished(desk, reply_to="forebay.reply.of-the-late")
    await desk.carrier().handle(await take(desk))
    desk.replies = await desk.channel.declare_queue("forebay.reply.of-the-late", exclusive=True)
    await desk.api.queue.publish(Mailbox.REPLIES.queue, desk.api.queue.published[-1].message)
    await desk.carrier().handle(await take(desk))
    assert (await desk.reply()).json["id"] == job_id


async def test_a_client_that_is_gone_is_not_waited_for(desk: Desk) -> None:
    job_id = await finished(desk, reply_to="amq.rabbitmq.reply-to.gone")
    async with desk.courier():
        report = await reported(desk, job_id)
    assert (report["status"], report["message"]) == (
        "undeliverable",
        "The client behind `amq.rabbitmq.reply-to.gone` is gone.",
    )


async def test_a_courier_that_dies_before_it_acknowledges_tells_again_by_the_same_id_or_not_at_all(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await finished(desk)
    notice = await take(desk)
    with monkeypatch.context() as dying:

        async def lost(*_arguments: object) -> None:
            raise StoreUnavailable

        dying.setattr(desk.api.store, "note_reply", lost)
        with pytest.raises(StoreUnavailable):
            await desk.carrier().handle(notice)
    await notice.give_back()
    await desk.carrier().handle(await take(desk))
    told = [await desk.reply() for _ in range(2)]
    assert {reply.message.message_id for reply in told} == {f"reply_{job_id}"}
    assert told[0].json == told[1].json

    await desk.api.queue.publish(Mailbox.REPLIES.queue, notice.message)  # published twice, or never acknowledged
    await desk.carrier().handle(await take(desk))
    await desk.nothing_waits()


async def test_a_reply_whose_response_cannot_be_read_waits_and_holds_up_no_other(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    large = LargeBodies(ObjectFiles(folder.as_uri()), inline_limit=10)
    whole = WholeJobs(desk.api.store, large)
    job_id = await queued(desk)
    await desk.finish(job_id, whole)
    folder.rename(tmp_path / "elsewhere")
    folder.touch()
    courier = desk.carrier(whole)
    for looks, delay_s in enumerate((*LOOK_AGAIN_AFTER_S, LOOK_AGAIN_AFTER_S[-1])):
        await courier.handle(await take(desk))
        again = desk.api.queue.published[-1]
        assert (again.queue, again.delay_s) == (Mailbox.REPLIES.queue, delay_s)
        assert again.message.headers == {LOOKS: str(looks + 1)}
        await desk.api.queue.publish(Mailbox.REPLIES.queue, again.message)
    assert (await desk.api.queue.depth(Mailbox.REPLIES.queue)).unacknowledged == 0
    folder.unlink()
    (tmp_path / "elsewhere").rename(folder)
    await desk.carrier(whole).handle(await take(desk))
    told = await desk.reply()
    assert (told.json["id"], told.json["response"]) == (job_id, ANSWER)


async def test_a_notice_that_cannot_be_read_is_a_dead_letter(desk: Desk) -> None:
    for body in (b"{", b"{}", b'{"notice": {}}'):
        await desk.api.queue.publish(Mailbox.REPLIES.queue, Message(body, ""))
        await desk.carrier().handle(await take(desk))
    assert len(await desk.api.queue.dead_letters(10)) == 3
    assert [type(event) for event in desk.events] == [MessageBuried] * 3


async def test_a_notice_of_a_job_that_is_gone_or_not_finished_tells_nothing(desk: Desk) -> None:
    await desk.submit()
    for job_id in ("job_gone", (await desk.job())["id"]):
        body = b'{"notice": {"team": "%b", "subject": "%b"}}' % (TEAM.encode(), job_id.encode())
        await desk.api.queue.publish(Mailbox.REPLIES.queue, Message(body, ""))
        await desk.carrier().handle(await take(desk))
    await desk.nothing_waits()
    assert desk.events == []


async def test_an_answer_too_large_for_a_message_is_left_out_of_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "LARGEST_REPLY", 100)
    job_id = await finished(desk)
    await desk.carrier().handle(await take(desk))
    told = (await desk.reply()).json
    assert (told["id"], told["status"], told["response"]) == (job_id, "succeeded", None)
