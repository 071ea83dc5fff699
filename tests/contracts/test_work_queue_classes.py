"""What every transport promises about the classes of a lane: each is taken, paused and given back by itself."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from typing import Final

import pytest

from shared.domain.clock import SystemClock
from shared.domain.lanes import DEFAULT_WEIGHTS, DeferrableWindow, JobClass, QueueName, classes_with, overdue_queue
from shared.domain.work_queue import Intake, Message, QueueDepth, WorkQueue
from tests.contracts.test_work_queue import (
    PATIENCE_S,
    numbered,
    publish_all,
    take,
    take_all,
    until_depth,
    until_fetched,
)
from tests.contracts.transports import Transport

INTERACTIVE, STANDARD, BULK = JobClass("interactive"), JobClass("standard"), JobClass("bulk")
DEFERRABLE: Final = JobClass("deferrable.24h")
SHORT_WINDOWS: Final = (DeferrableWindow.of("3s"), DeferrableWindow.of("10s"), DeferrableWindow.of("1h"))


def only(*classes: JobClass) -> set[JobClass]:
    return set(classes)


async def take_of(intake: Intake, job_class: JobClass) -> str:
    """Take the next message of a class, acknowledge it and give its job."""
    async with asyncio.timeout(PATIENCE_S):
        delivery = await intake.take(lambda each: each == job_class)
    assert delivery.queue.job_class == job_class
    await delivery.ack()
    return delivery.message.job_id


async def test_a_class_that_is_not_allowed_waits_while_others_are_taken(queue: WorkQueue, lane: str) -> None:
    held_back, other = QueueName(lane, STANDARD), QueueName(lane, BULK)
    await publish_all(queue, held_back, numbered(2))
    await publish_all(queue, other, numbered(2))
    intake = queue.intake(lane, DEFAULT_WEIGHTS, 10)
    await until_fetched(queue, held_back, other)
    assert [await take_of(intake, BULK) for _ in range(2)] == ["job_00000", "job_00001"]
    assert [await take_of(intake, STANDARD) for _ in range(2)] == ["job_00000", "job_00001"]


async def test_a_taker_comes_back_when_it_is_told_that_more_is_allowed(queue: WorkQueue, lane: str) -> None:
    name, allowed = QueueName(lane, STANDARD), only(BULK)
    await publish_all(queue, name, numbered(1))
    intake = queue.intake(lane, DEFAULT_WEIGHTS, 10)
    taking = asyncio.create_task(intake.take(allowed.__contains__))
    await until_fetched(queue, name)
    assert not taking.done()
    allowed.add(STANDARD)
    intake.reconsider()
    async with asyncio.timeout(PATIENCE_S):
        await (await taking).ack()


async def test_a_cancelled_take_by_class_loses_no_message(queue: WorkQueue, lane: str) -> None:
    name, allowed = QueueName(lane, STANDARD), only()
    sent = numbered(30)
    await publish_all(queue, name, sent)
    intake = queue.intake(lane, DEFAULT_WEIGHTS, 100)
    await until_fetched(queue, name)
    got = []
    for steps in itertools.islice(itertools.cycle(range(6)), 30):
        taker = asyncio.create_task(intake.take(allowed.__contains__))
        await asyncio.sleep(0)
        allowed.add(STANDARD)
        intake.reconsider()
        for _ in range(steps):
            await asyncio.sleep(0)
        taker.cancel()
        await asyncio.wait([taker])
        allowed.clear()
        got += [] if taker.cancelled() else [taker.result().message.job_id]
    got += [await take_of(intake, STANDARD) for _ in range(len(sent) - len(got))]
    assert sorted(got) == [message.job_id for message in sent]


async def test_an_intake_tells_how_long_it_keeps_what_nobody_takes(queue: WorkQueue, lane: str) -> None:
    intake = queue.intake(lane, DEFAULT_WEIGHTS, 10)
    assert intake.kept_waiting() == {}
    await queue.publish(QueueName(lane, BULK), Message(b"", "job_1"))
    await until_fetched(queue, QueueName(lane, BULK))
    assert list(intake.kept_waiting()) == [BULK]
    assert 0 <= intake.kept_waiting()[BULK] < PATIENCE_S
    await take_of(intake, BULK)
    assert intake.kept_waiting() == {}


async def test_a_paused_class_gives_back_what_was_not_taken_and_disturbs_no_other(
    queue: WorkQueue, another: WorkQueue, lane: str
) -> None:
    paused, other = QueueName(lane, DEFERRABLE), QueueName(lane, STANDARD)
    await publish_all(queue, paused, numbered(5))
    await publish_all(queue, other, numbered(5))
    intake = queue.intake(lane, DEFAULT_WEIGHTS, 10)
    await until_fetched(queue, paused, other)
    taken = await intake.take(lambda each: each == DEFERRABLE)
    await intake.pause([DEFERRABLE])
    assert (await queue.depth(other)).ready == 0
    others = await take_all(another.intake(lane, DEFAULT_WEIGHTS, 10), 4)
    assert taken.message.job_id not in {delivery.message.job_id for delivery in others}
    assert {delivery.queue for delivery in others} == {paused}
    ours = [await take(intake) for _ in range(5)]
    assert {delivery.queue for delivery in ours} == {other}
    assert not any(delivery.redelivered for delivery in ours)
    await publish_all(queue, other, numbered(1))
    await taken.ack()


async def test_a_paused_class_is_left_where_it_is_until_it_is_resumed(queue: WorkQueue, lane: str) -> None:
    paused, other = QueueName(lane, DEFERRABLE), QueueName(lane, STANDARD)
    intake = queue.intake(lane, DEFAULT_WEIGHTS, 10)
    for number in range(3):
        await intake.pause([DEFERRABLE])
        await queue.publish(paused, Message(b"", f"job_{number}"))
        await queue.publish(other, Message(b"", f"job_{number}"))
        assert await take_of(intake, STANDARD) == f"job_{number}"
        assert (await queue.depth(paused)).ready == 1
        await intake.resume([DEFERRABLE])
        assert await take_of(intake, DEFERRABLE) == f"job_{number}"


async def test_one_class_of_a_paused_intake_may_be_resumed_alone(queue: WorkQueue, lane: str) -> None:
    intake = queue.intake(lane, DEFAULT_WEIGHTS, 10)
    await intake.pause()
    for job_class in (STANDARD, BULK):
        await publish_all(queue, QueueName(lane, job_class), numbered(1))
    await intake.resume([BULK])
    await take_of(intake, BULK)
    assert (await queue.depth(QueueName(lane, STANDARD))).ready == 1
    await intake.resume()
    await take_of(intake, STANDARD)


async def test_nothing_makes_a_closed_intake_consume_again(queue: WorkQueue, lane: str) -> None:
    intake = queue.intake(lane, DEFAULT_WEIGHTS, 10)
    await intake.close()
    await intake.resume([STANDARD])
    await intake.resume()
    await publish_all(queue, QueueName(lane, STANDARD), numbered(1))
    await take_of(queue.intake(lane, DEFAULT_WEIGHTS, 10), STANDARD)


async def test_classes_that_are_paused_while_messages_arrive_lose_and_double_none(
    queue: WorkQueue, another: WorkQueue, lane: str
) -> None:
    names = [QueueName(lane, job_class) for job_class in (STANDARD, BULK)]
    sent = numbered(100)
    intakes = [each.intake(lane, DEFAULT_WEIGHTS, 7) for each in (queue, another)]
    counted: Counter[tuple[QueueName, str]] = Counter()

    async def work(intake: Intake) -> None:
        while True:
            delivery = await intake.take()
            counted[delivery.queue, delivery.message.job_id] += 1
            await delivery.ack()

    async def pause_and_resume(intake: Intake, job_class: JobClass) -> None:
        for _ in range(10):
            await intake.pause([job_class])
            await intake.resume([job_class])

    workers = [asyncio.create_task(work(intake)) for intake in intakes]
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as everything:
        for name in names:
            everything.create_task(publish_all(queue, name, sent))
        for intake, job_class in itertools.product(intakes, (STANDARD, BULK)):
            everything.create_task(pause_and_resume(intake, job_class))
    for name, each in itertools.product(names, (queue, another)):
        await until_depth(each, name, QueueDepth(0, 0))
    for worker in workers:
        worker.cancel()
    assert counted == Counter((name, message.job_id) for name in names for message in sent)


async def test_a_model_without_capacity_fills_nobody_elses_prefetch(
    queue: WorkQueue, transport: Transport, lane: str
) -> None:
    """Row 7: model A takes nothing more, holds all it may, and model B does not notice."""
    limited, free = lane, f"{lane}-b"
    await queue.declare([free])
    limited_intake = queue.intake(limited, DEFAULT_WEIGHTS, 4)
    await publish_all(queue, QueueName(limited, STANDARD), numbered(50))
    held = [await take(limited_intake) for _ in range(4)]  # all it may have, and none of them ever ends
    await publish_all(queue, QueueName(free, STANDARD), numbered(50))
    free_intake = queue.intake(free, DEFAULT_WEIGHTS, 4)
    came = await take_all(free_intake, 50)
    assert [delivery.message.job_id for delivery in came] == [message.job_id for message in numbered(50)]
    for delivery in held:
        await delivery.ack()
    await free_intake.close()  # or it makes the queues again while they are removed
    await transport.clean_up(free)


async def test_the_oldest_of_the_lowest_class_is_served_whatever_else_waits(queue: WorkQueue, lane: str) -> None:
    """Row 8: its age, in turns of the lane, is bounded by the weights."""
    lowest = {"deferrable.7d": 1, "bulk.surplus": 1}
    backlog = {"interactive": 160, "standard": 60, "bulk": 20} | lowest
    names = {QueueName(lane, JobClass(job_class)): count for job_class, count in backlog.items()}
    for name, count in names.items():
        await publish_all(queue, name, numbered(count))
    intake = queue.intake(lane, DEFAULT_WEIGHTS, 200)
    await until_fetched(queue, *names)
    taken = [delivery.queue.job_class.name for delivery in await take_all(intake, 2 * 85)]
    assert all(job_class in taken for job_class in lowest), Counter(taken)


@pytest.fixture
async def impatient(transport: Transport, lane: str) -> AsyncIterator[WorkQueue]:
    """A work queue whose shortest window lasts seconds; the lane is declared."""
    async with transport.connected(windows=SHORT_WINDOWS) as queue:
        await queue.declare([lane])
        yield queue
    await transport.clean_up(lane, SHORT_WINDOWS)


def deferrable(lane: str, window: str = "3s") -> QueueName:
    return QueueName(lane, JobClass(f"deferrable.{window}"))


async def test_the_classes_of_a_lane_are_those_of_the_configured_windows(impatient: WorkQueue, lane: str) -> None:
    intake = impatient.intake(lane, DEFAULT_WEIGHTS, 10)
    assert intake.classes == classes_with(SHORT_WINDOWS)
    await publish_all(impatient, deferrable(lane), numbered(1))
    await take_of(intake, JobClass("deferrable.3s"))


async def test_work_that_nobody_takes_in_a_window_of_seconds_is_overdue_before_it_is_over(
    impatient: WorkQueue, lane: str
) -> None:
    clock, sent = SystemClock(), numbered(200)
    window, *_ = SHORT_WINDOWS
    began = clock.monotonic()
    await publish_all(impatient, deferrable(lane), sent)
    intake = impatient.intake(lane, DEFAULT_WEIGHTS, 300)
    await intake.pause([job_class for job_class in intake.classes if job_class.window])
    first = await take(intake)
    assert window.patience_s <= clock.monotonic() - began
    await first.ack()
    rest = await take_all(intake, len(sent) - 1)
    assert {delivery.queue for delivery in (first, *rest)} == {overdue_queue(lane)}
    assert {delivery.message.job_id for delivery in (first, *rest)} == {message.job_id for message in sent}


async def test_deferrable_work_that_was_fetched_and_given_back_waits_no_longer_than_its_window(
    impatient: WorkQueue, lane: str
) -> None:
    clock = SystemClock()
    _, window, _ = SHORT_WINDOWS  # with margin enough for a busy machine
    intake = impatient.intake(lane, DEFAULT_WEIGHTS, 10)
    began = clock.monotonic()
    await publish_all(impatient, deferrable(lane, window.label), numbered(3))
    await until_fetched(impatient, deferrable(lane, window.label))
    await intake.pause([deferrable(lane, window.label).job_class])
    back = clock.monotonic() - began
    assert {await take_of(intake, overdue_queue(lane).job_class) for _ in range(3)} == {
        message.job_id for message in numbered(3)
    }
    waited = clock.monotonic() - began
    assert window.patience_s <= waited < window.seconds + back
