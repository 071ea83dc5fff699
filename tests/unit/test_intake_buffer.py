import asyncio
from dataclasses import dataclass

import pytest

from shared.adapters.intake_buffer import IntakeBuffer
from shared.domain.lanes import CLASSES, DEFAULT_WEIGHTS, JobClass, QueueName
from shared.domain.turns import Turns
from shared.domain.work_queue import Message
from tests.clock import SteppingClock, settle

STANDARD = JobClass("standard")
BULK = JobClass("bulk")


@dataclass
class Fetched:
    """A delivery that stands for itself."""

    message: Message
    queue: QueueName
    redelivered: bool = False

    async def ack(self) -> None:
        """Nothing to do."""

    async def give_back(self) -> None:
        """Nothing to do."""


def fetched(job_id: str, job_class: JobClass = STANDARD) -> Fetched:
    return Fetched(Message(b"", job_id), QueueName("lane", job_class))


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def buffer(clock: SteppingClock) -> IntakeBuffer[Fetched]:
    return IntakeBuffer(CLASSES, Turns(DEFAULT_WEIGHTS), clock)


async def test_a_class_is_served_oldest_first(buffer: IntakeBuffer[Fetched]) -> None:
    for number in range(3):
        buffer.put(STANDARD, fetched(str(number)))
    assert [(await buffer.take()).message.job_id for _ in range(3)] == ["0", "1", "2"]


async def test_the_heavier_class_gets_more_turns(buffer: IntakeBuffer[Fetched]) -> None:
    for number in range(20):
        buffer.put(STANDARD, fetched(str(number), STANDARD))
        buffer.put(BULK, fetched(str(number), BULK))
    taken = [(await buffer.take()).queue.job_class for _ in range(20)]
    assert taken.count(STANDARD) == 16
    assert taken.count(BULK) == 4


async def test_a_waiting_taker_gets_what_arrives(buffer: IntakeBuffer[Fetched]) -> None:
    async with asyncio.timeout(5), asyncio.TaskGroup() as takers:
        first, second = takers.create_task(buffer.take()), takers.create_task(buffer.take())
        await asyncio.sleep(0)
        buffer.put(STANDARD, fetched("a"))
        buffer.put(STANDARD, fetched("b"))
    assert {first.result().message.job_id, second.result().message.job_id} == {"a", "b"}


async def test_a_cancelled_taker_takes_nothing_away(buffer: IntakeBuffer[Fetched]) -> None:
    taker = asyncio.create_task(buffer.take())
    await asyncio.sleep(0)
    buffer.put(STANDARD, fetched("a"))
    taker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taker
    assert buffer.count(STANDARD) == 1
    assert (await buffer.take()).message.job_id == "a"


async def test_a_class_that_is_not_allowed_waits_until_the_taker_reconsiders(buffer: IntakeBuffer[Fetched]) -> None:
    allowed = {BULK}
    buffer.put(STANDARD, fetched("a"))
    taker = asyncio.create_task(buffer.take(allowed.__contains__))
    await settle()
    assert not taker.done()
    allowed.add(STANDARD)
    buffer.reconsider()
    async with asyncio.timeout(5):
        assert (await taker).message.job_id == "a"


async def test_what_is_not_allowed_holds_back_nothing_that_is(buffer: IntakeBuffer[Fetched]) -> None:
    buffer.put(STANDARD, fetched("a"))
    buffer.put(BULK, fetched("b", BULK))
    assert (await buffer.take(lambda job_class: job_class == BULK)).message.job_id == "b"
    assert buffer.count(STANDARD) == 1


async def test_draining_empties_the_classes_that_are_named_and_no_other(buffer: IntakeBuffer[Fetched]) -> None:
    buffer.put(STANDARD, fetched("a"))
    buffer.put(BULK, fetched("b", BULK))
    buffer.put(BULK, fetched("c", BULK))
    assert [delivery.message.job_id for delivery in buffer.drain([BULK])] == ["b", "c"]
    assert (buffer.count(STANDARD), buffer.count(BULK)) == (1, 0)
    assert [delivery.message.job_id for delivery in buffer.drain(CLASSES)] == ["a"]


async def test_it_knows_how_long_the_oldest_of_each_class_waits(
    buffer: IntakeBuffer[Fetched], clock: SteppingClock
) -> None:
    buffer.put(BULK, fetched("b", BULK))
    await clock.advance(20)
    buffer.put(BULK, fetched("c", BULK))
    buffer.put(STANDARD, fetched("a"))
    await clock.advance(10)
    assert buffer.kept_waiting() == {BULK: 30.0, STANDARD: 10.0}
    await buffer.take(lambda job_class: job_class == BULK)
    assert buffer.kept_waiting() == {BULK: 10.0, STANDARD: 10.0}
