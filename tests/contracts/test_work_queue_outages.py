"""What every transport promises when consumers die, lines are cut and servers restart."""

import asyncio

import pytest

from shared.domain.errors import BrokerUnavailable
from shared.domain.lanes import DEFAULT_WEIGHTS, JobClass, QueueName
from shared.domain.work_queue import Intake, Message, QueueDepth, WorkQueue
from tests.contracts.test_work_queue import (
    SOON_S,
    STANDARD,
    numbered,
    publish_all,
    take,
    take_all,
    until_depth,
    until_fetched,
)
from tests.contracts.transports import Restartable, Transport
from tests.eventually import eventually
from tests.servers.proxy import Proxy


async def test_a_lost_consumers_messages_go_to_another(
    queue: WorkQueue, distant: WorkQueue, line: Proxy, lane: str
) -> None:
    name = QueueName(lane, STANDARD)
    sent = numbered(10)
    await publish_all(queue, name, sent)
    lost = distant.intake(lane, DEFAULT_WEIGHTS, 10)
    started = [await take(lost) for _ in range(3)]
    await until_fetched(queue, name)
    await line.go_away()
    taken = await take_all(queue.intake(lane, DEFAULT_WEIGHTS, 10), len(sent))
    assert sorted(delivery.message.job_id for delivery in taken) == [message.job_id for message in sent]
    again = {delivery.message.job_id: delivery.redelivered for delivery in taken}
    assert all(again[delivery.message.job_id] for delivery in started)


async def test_acknowledging_over_a_lost_line_harms_nothing(
    queue: WorkQueue, distant: WorkQueue, line: Proxy, lane: str
) -> None:
    await publish_all(queue, QueueName(lane, STANDARD), numbered(2))
    intake = distant.intake(lane, DEFAULT_WEIGHTS, 10)
    one, two = await take(intake), await take(intake)
    await line.go_away()
    async with asyncio.timeout(10):
        await one.ack()
        await two.give_back()
    again = await take_all(queue.intake(lane, DEFAULT_WEIGHTS, 10), 2)
    assert {delivery.message.job_id for delivery in again} == {one.message.job_id, two.message.job_id}


async def test_an_absent_broker_is_an_error_soon(transport: Transport, line: Proxy) -> None:
    await line.go_away()
    async with transport.unconnected(line.port) as queue:
        with pytest.raises(BrokerUnavailable):
            async with asyncio.timeout(SOON_S):
                await queue.open()


async def test_a_silent_broker_is_an_error_soon(transport: Transport, line: Proxy) -> None:
    line.freeze()
    async with transport.unconnected(line.port) as queue:
        with pytest.raises(BrokerUnavailable):
            async with asyncio.timeout(SOON_S):
                await queue.open()


async def test_publishing_to_a_lost_broker_is_an_error_soon(distant: WorkQueue, line: Proxy, lane: str) -> None:
    await line.go_away()
    async with asyncio.timeout(SOON_S):
        outcomes = await asyncio.gather(
            distant.publish(QueueName(lane, STANDARD), Message(b"", "job_1")),
            distant.publish(QueueName(lane, STANDARD), Message(b"", "job_1"), delay_s=1),
            distant.bury(Message(b"", "job_1"), "why"),
            distant.ping(),
            return_exceptions=True,
        )
    assert all(isinstance(outcome, BrokerUnavailable) for outcome in outcomes), outcomes


async def test_publishing_to_a_silent_broker_is_an_error_soon_and_works_again_later(
    queue: WorkQueue, distant: WorkQueue, line: Proxy, lane: str
) -> None:
    name = QueueName(lane, STANDARD)
    line.freeze()
    async with asyncio.timeout(SOON_S):
        outcomes = await asyncio.gather(
            *(distant.publish(name, message) for message in numbered(100)), return_exceptions=True
        )
    assert all(isinstance(outcome, BrokerUnavailable) for outcome in outcomes)
    line.thaw()
    await until_publishing_works(distant, name, "job_later")
    assert "job_later" in await taken_until(queue.intake(lane, DEFAULT_WEIGHTS, 10), "job_later")


async def test_a_dropped_line_is_mended_within_the_publish(
    queue: WorkQueue, distant: WorkQueue, line: Proxy, lane: str
) -> None:
    sent = numbered(20)
    for message in sent:
        await line.drop()
        await distant.publish(QueueName(lane, STANDARD), message)
    taken = await taken_until_all(queue.intake(lane, DEFAULT_WEIGHTS, 10), {message.job_id for message in sent})
    assert taken == {message.job_id for message in sent}


async def test_consuming_goes_on_when_the_line_is_back(
    queue: WorkQueue, distant: WorkQueue, line: Proxy, lane: str
) -> None:
    intake = distant.intake(lane, DEFAULT_WEIGHTS, 10)
    for job_id in ("job_1", "job_2", "job_3"):
        await queue.publish(QueueName(lane, STANDARD), Message(b"", job_id))
        assert job_id in await taken_until(intake, job_id)
        await line.go_away()
        await line.listen()


async def test_a_killed_broker_loses_no_message_and_everything_goes_on(restartable: Restartable, lane: str) -> None:
    transport = restartable.transport
    name, delayed = QueueName(lane, STANDARD), QueueName(lane, JobClass("bulk"))
    async with transport.connected() as publisher, transport.connected() as consumer:
        await publisher.declare([lane])
        intake = consumer.intake(lane, DEFAULT_WEIGHTS, 10)
        before = numbered(50)
        await publish_all(publisher, name, before)
        await publisher.publish(delayed, Message(b"", "job_delayed"), delay_s=3)
        held = await take(intake)
        await restartable.kill()
        with pytest.raises(BrokerUnavailable):
            async with asyncio.timeout(SOON_S):
                await publisher.publish(name, Message(b"", "job_lost"))
        await restartable.start()
        await held.ack()
        await until_publishing_works(publisher, name, "job_after")
        expected = {message.job_id for message in before} | {"job_delayed", "job_after"}
        came = {held.message.job_id}  # an acknowledgement may survive the server: then this one does not come again
        consuming = asyncio.create_task(take_into(came, intake))

        async def all_came() -> bool:
            return expected <= came

        await eventually(all_came)
        await until_depth(consumer, name, QueueDepth(0, 0))
        consuming.cancel()
    await transport.clean_up(lane)


async def until_publishing_works(queue: WorkQueue, name: QueueName, job_id: str) -> None:
    """Publish until it is confirmed."""

    async def is_published() -> bool:
        try:
            await queue.publish(name, Message(b"", job_id))
        except BrokerUnavailable:
            return False
        return True

    await eventually(is_published)


async def taken_until(intake: Intake, job_id: str) -> set[str]:
    """Take and acknowledge until this job came; give all that came."""
    return await taken_until_all(intake, {job_id})


async def take_into(came: set[str], intake: Intake) -> None:
    """Take and acknowledge, and note what came, until cancelled."""
    while True:
        delivery = await intake.take()
        came.add(delivery.message.job_id)
        await delivery.ack()


async def taken_until_all(intake: Intake, job_ids: set[str]) -> set[str]:
    """Take and acknowledge until all these came; give all that came."""
    came: set[str] = set()
    while not job_ids <= came:
        delivery = await take(intake)
        came.add(delivery.message.job_id)
        await delivery.ack()
    return came
