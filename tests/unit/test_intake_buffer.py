import asyncio
from dataclasses import dataclass

import pytest

from shared.adapters.intake_buffer import IntakeBuffer
from shared.domain.lanes import DEFAULT_WEIGHTS, JobClass, QueueName
from shared.domain.turns import Turns
from shared.domain.work_queue import Message

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
def buffer() -> IntakeBuffer[Fetched]:
    return IntakeBuffer(Turns(DEFAULT_WEIGHTS))


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


async def test_a_puller_is_told_when_there_is_room_again(buffer: IntakeBuffer[Fetched]) -> None:
    buffer.put(STANDARD, fetched("a"))
    buffer.put(STANDARD, fetched("b"))
    puller = asyncio.create_task(buffer.room(STANDARD, 2))
    await asyncio.sleep(0)
    assert not puller.done()
    await buffer.take()
    async with asyncio.timeout(5):
        assert await puller == 1


async def test_draining_empties_it_and_makes_room(buffer: IntakeBuffer[Fetched]) -> None:
    buffer.put(STANDARD, fetched("a"))
    buffer.put(BULK, fetched("b", BULK))
    puller = asyncio.create_task(buffer.room(BULK, 1))
    await asyncio.sleep(0)
    assert [delivery.message.job_id for delivery in buffer.drain()] == ["a", "b"]
    async with asyncio.timeout(5):
        assert await puller == 1
    assert buffer.count(STANDARD) == 0
