"""What every transport promises while nothing breaks."""

import asyncio
import itertools
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.domain.clock import SystemClock
from shared.domain.errors import Unroutable
from shared.domain.lanes import DEFAULT_WEIGHTS, JobClass, QueueName
from shared.domain.work_queue import Delivery, Intake, Message, QueueDepth, WorkQueue
from tests.contracts.transports import Transport
from tests.eventually import eventually

STANDARD = JobClass("standard")
PATIENCE_S = 30.0
SOON_S = 15.0
"""An error that comes soon comes within seconds by itself; one that does not, never or when the line is given up."""


def numbered(count: int) -> list[Message]:
    return [Message(f"body {number}".encode(), f"job_{number:05}") for number in range(count)]


async def publish_all(queue: WorkQueue, name: QueueName, messages: list[Message]) -> None:
    await asyncio.gather(*(queue.publish(name, message) for message in messages))


async def take(intake: Intake) -> Delivery:
    async with asyncio.timeout(PATIENCE_S):
        return await intake.take()


async def take_all(intake: Intake, count: int) -> list[Delivery]:
    """Take so many, and acknowledge each."""
    taken = []
    for _ in range(count):
        taken.append(await take(intake))
        await taken[-1].ack()
    return taken


async def until_depth(queue: WorkQueue, name: QueueName, expected: QueueDepth) -> None:
    async def is_reached() -> bool:
        return await queue.depth(name) == expected

    await eventually(is_reached)


async def until_fetched(queue: WorkQueue, *names: QueueName) -> None:
    """Wait until nothing is left to be fetched."""

    async def nothing_is_ready() -> bool:
        return all([(await queue.depth(name)).ready == 0 for name in names])

    await eventually(nothing_is_ready)


async def test_a_published_message_arrives_as_it_was(queue: WorkQueue, lane: str) -> None:
    name = QueueName(lane, STANDARD)
    message = Message(b'{"v": 1}', "job_1", {"traceparent": "00-ab-cd-01"})
    await queue.publish(name, message)
    delivery = await take(queue.intake(lane, DEFAULT_WEIGHTS, 10))
    assert delivery.message == message
    assert delivery.queue == name
    assert not delivery.redelivered
    await delivery.ack()


header_names = st.text(min_size=1, max_size=20).filter(lambda name: not name.startswith(("forebay-", "x-")))
messages = st.builds(
    Message,
    body=st.binary(max_size=300) | st.just(bytes(range(256)) * 1_000),
    job_id=st.text(min_size=1, max_size=40),
    headers=st.dictionaries(header_names, st.text(max_size=60), max_size=3),
)


@given(sent=st.lists(messages, min_size=1, max_size=6))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_body_and_any_headers_arrive_byte_for_byte(queue: WorkQueue, lane: str, sent: list[Message]) -> None:
    for message in sent:
        await queue.publish(QueueName(lane, STANDARD), message)
    intake = queue.intake(lane, DEFAULT_WEIGHTS, 10)
    assert [delivery.message for delivery in await take_all(intake, len(sent))] == sent
    await intake.close()


@pytest.mark.parametrize("delay_s", [0.0, 1.0])
@pytest.mark.hazard(6)
async def test_a_message_that_no_queue_takes_is_refused(queue: WorkQueue, lane: str, delay_s: float) -> None:
    """Row 6: what is unroutable never counts as a success."""
    with pytest.raises(Unroutable):
        await queue.publish(QueueName(f"{lane}-undeclared", STANDARD), Message(b"", "job_1"), delay_s)


async def test_hundreds_of_publishes_at_once_are_all_confirmed(queue: WorkQueue, lane: str) -> None:
    sent = numbered(500)
    async with asyncio.timeout(PATIENCE_S):
        await publish_all(queue, QueueName(lane, STANDARD), sent)
    taken = await take_all(queue.intake(lane, DEFAULT_WEIGHTS, 100), len(sent))
    assert sorted(delivery.message.job_id for delivery in taken) == [message.job_id for message in sent]


async def test_each_message_goes_to_one_of_two_consumers(queue: WorkQueue, another: WorkQueue, lane: str) -> None:
    sent = numbered(40)
    one, two = queue.intake(lane, DEFAULT_WEIGHTS, 5), another.intake(lane, DEFAULT_WEIGHTS, 5)
    await publish_all(queue, QueueName(lane, STANDARD), sent)
    held = [await take(one), await take(two)]
    counted: Counter[str] = Counter(delivery.message.job_id for delivery in held)

    async def work(intake: Intake) -> None:
        while True:
            delivery = await intake.take()
            counted[delivery.message.job_id] += 1
            await delivery.ack()

    workers = [asyncio.create_task(work(intake)) for intake in (one, two)]
    for delivery in held:
        await delivery.ack()
    await until_depth(queue, QueueName(lane, STANDARD), QueueDepth(0, 0))
    await until_depth(another, QueueName(lane, STANDARD), QueueDepth(0, 0))
    for worker in workers:
        worker.cancel()
    assert counted == Counter(message.job_id for message in sent)


async def test_what_was_not_acknowledged_is_delivered_again(queue: WorkQueue, transport: Transport, lane: str) -> None:
    name = QueueName(lane, STANDARD)
    await publish_all(queue, name, numbered(2))
    async with transport.connected() as first:
        intake = first.intake(lane, DEFAULT_WEIGHTS, 10)
        finished, unfinished = await take(intake), await take(intake)
        await finished.ack()
    again = await take(queue.intake(lane, DEFAULT_WEIGHTS, 10))
    assert again.message == unfinished.message
    assert again.redelivered
    await again.ack()
    await until_depth(queue, name, QueueDepth(0, 0))


async def test_what_is_given_back_goes_to_the_next_one(queue: WorkQueue, another: WorkQueue, lane: str) -> None:
    intake = queue.intake(lane, DEFAULT_WEIGHTS, 1)
    await queue.publish(QueueName(lane, STANDARD), Message(b"", "job_1"))
    delivery = await take(intake)
    await intake.close()
    await delivery.give_back()
    again = await take(another.intake(lane, DEFAULT_WEIGHTS, 1))
    assert again.message == delivery.message
    assert again.redelivered
    await again.ack()


@pytest.mark.hazard(9)
async def test_a_long_delay_holds_back_no_short_one_and_neither_ends_early(queue: WorkQueue, lane: str) -> None:
    clock = SystemClock()
    name = QueueName(lane, STANDARD)
    intake = queue.intake(lane, DEFAULT_WEIGHTS, 10)
    began = clock.monotonic()
    await asyncio.gather(  # a broker that confirms late would let the delays run out meanwhile
        queue.publish(name, Message(b"", "job_long"), delay_s=3.5),
        queue.publish(name, Message(b"", "job_short"), delay_s=1.0),
        queue.publish(name, Message(b"", "job_at_once")),
    )
    arrived: dict[str, float] = {}
    for _ in range(3):
        delivery = await take(intake)
        arrived[delivery.message.job_id] = clock.monotonic() - began
        assert delivery.queue == name
        await delivery.ack()
    assert list(arrived) == ["job_at_once", "job_short", "job_long"]
    assert arrived["job_short"] >= 1.0
    assert arrived["job_long"] >= 3.5


async def test_a_delay_between_two_rungs_of_the_ladder_is_kept(queue: WorkQueue, another: WorkQueue, lane: str) -> None:
    clock = SystemClock()
    name = QueueName(lane, STANDARD)
    message = Message(b"\x00 body", "job_1", {"traceparent": "00-ab-cd-01"})
    intake = queue.intake(lane, DEFAULT_WEIGHTS, 10)
    began = clock.monotonic()
    await another.publish(name, message, delay_s=3)
    delivery = await take(intake)
    assert 3 <= clock.monotonic() - began < 10
    assert (delivery.message, delivery.queue, delivery.redelivered) == (message, name, False)
    await delivery.ack()
    await until_depth(queue, name, QueueDepth(0, 0))


async def test_a_delay_of_an_hour_holds_back_none_of_a_second(queue: WorkQueue, lane: str) -> None:
    """Row 9: mixed delays would end only at the head of one queue."""
    name = QueueName(lane, STANDARD)
    await queue.publish(name, Message(b"", f"job_hour of {lane}"), delay_s=3_600)
    await queue.publish(name, Message(b"", f"job_second of {lane}"), delay_s=1)
    arrived = await take_all(queue.intake(lane, DEFAULT_WEIGHTS, 10), 1)
    assert arrived[0].message.job_id == f"job_second of {lane}"


async def test_dead_letters_say_why_and_stay_to_be_seen(queue: WorkQueue, another: WorkQueue, lane: str) -> None:
    one = Message(b"\xff\x00", f"job_1 of {lane}", {"traceparent": "00-ab-cd-01"})
    two = Message(b"{}", f"job_2 of {lane}")
    await queue.bury(one, "not JSON: at byte 0")
    await queue.bury(two, "4 attempts made")
    for looking in (queue, another, queue):
        letters = [letter for letter in await looking.dead_letters(1_000) if letter.message.job_id.endswith(lane)]
        assert [(letter.message, letter.reason) for letter in letters] == [
            (one, "not JSON: at byte 0"),
            (two, "4 attempts made"),
        ]
    assert len(await queue.dead_letters(1)) == 1


@pytest.mark.hazard(8)
async def test_each_class_gets_its_weight_of_the_turns(queue: WorkQueue, lane: str) -> None:
    backlog = {"interactive": 150, "standard": 50, "bulk": 20, "deferrable.24h": 10}
    names = {QueueName(lane, JobClass(job_class)): count for job_class, count in backlog.items()}
    for name, count in names.items():
        await publish_all(queue, name, numbered(count))
    intake = queue.intake(lane, DEFAULT_WEIGHTS, 200)
    await until_fetched(queue, *names)
    taken = Counter(delivery.queue.job_class.name for delivery in await take_all(intake, 2 * 85))
    expected = {"interactive": 128, "standard": 32, "bulk": 8, "deferrable.24h": 2}
    assert all(abs(taken[job_class] - count) <= 2 for job_class, count in expected.items()), taken
    assert taken["deferrable.24h"] >= 1


async def test_surplus_gets_what_its_sibling_leaves_and_a_small_share_besides(queue: WorkQueue, lane: str) -> None:
    surplus, main = QueueName(lane, JobClass("standard.surplus")), QueueName(lane, STANDARD)
    await publish_all(queue, surplus, numbered(5))
    await publish_all(queue, main, numbered(30))
    intake = queue.intake(lane, DEFAULT_WEIGHTS, 40)
    await until_fetched(queue, surplus, main)
    taken = [delivery.queue for delivery in await take_all(intake, 35)]
    assert Counter(taken[:32]) == {main: 30, surplus: 2}
    assert taken[32:] == [surplus] * 3


async def test_a_paused_intake_gives_back_what_was_not_taken(queue: WorkQueue, another: WorkQueue, lane: str) -> None:
    name = QueueName(lane, STANDARD)
    await publish_all(queue, name, numbered(5))
    intake = queue.intake(lane, DEFAULT_WEIGHTS, 10)
    taken = await take(intake)
    await until_fetched(queue, name)
    await intake.pause()
    others = await take_all(another.intake(lane, DEFAULT_WEIGHTS, 10), 4)
    assert taken.message.job_id not in {delivery.message.job_id for delivery in others}
    await taken.ack()
    await until_depth(queue, name, QueueDepth(0, 0))


async def test_a_resumed_intake_consumes_again(queue: WorkQueue, lane: str) -> None:
    name = QueueName(lane, STANDARD)
    intake = queue.intake(lane, DEFAULT_WEIGHTS, 10)
    await queue.publish(name, Message(b"", "job_1"))
    started = await take(intake)
    for number in range(3):
        await intake.pause()
        await queue.publish(name, Message(b"", f"job_again_{number}"))
        assert (await queue.depth(name)).ready == 1
        await intake.resume()
        assert (await take_all(intake, 1))[0].message.job_id == f"job_again_{number}"
    await started.ack()
    await until_depth(queue, name, QueueDepth(0, 0))


async def test_a_closed_intake_can_still_acknowledge(queue: WorkQueue, lane: str) -> None:
    name = QueueName(lane, STANDARD)
    await queue.publish(name, Message(b"", "job_1"))
    intake = queue.intake(lane, DEFAULT_WEIGHTS, 10)
    delivery = await take(intake)
    await intake.close()
    assert await queue.depth(name) == QueueDepth(0, 1)
    await delivery.ack()
    await until_depth(queue, name, QueueDepth(0, 0))


async def test_depth_tells_waiting_from_unacknowledged(queue: WorkQueue, lane: str) -> None:
    name = QueueName(lane, STANDARD)
    assert await queue.depth(name) == QueueDepth(0, 0)
    await publish_all(queue, name, numbered(5))
    await until_depth(queue, name, QueueDepth(5, 0))
    intake = queue.intake(lane, DEFAULT_WEIGHTS, 5)
    first = await take(intake)
    await until_depth(queue, name, QueueDepth(0, 5))
    await first.ack()
    await until_depth(queue, name, QueueDepth(0, 4))


async def test_a_cancelled_take_loses_no_message(queue: WorkQueue, lane: str) -> None:
    name = QueueName(lane, STANDARD)
    intake = queue.intake(lane, DEFAULT_WEIGHTS, 100)
    sent = numbered(60)
    got: list[Delivery] = []
    for message, steps in zip(sent, itertools.cycle(range(12)), strict=False):
        taker = asyncio.create_task(intake.take())
        await queue.publish(name, message)
        for _ in range(steps):
            await asyncio.sleep(0)
        taker.cancel()
        await asyncio.wait([taker])
        got += [] if taker.cancelled() else [taker.result()]
    while len(got) < len(sent):
        got.append(await take(intake))
    assert sorted(delivery.message.job_id for delivery in got) == [message.job_id for message in sent]
    for delivery in got:
        await delivery.ack()
