"""What every transport promises of dead letters. The broker may be shared, so each test looks at its own lane's."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from shared.domain.clock import SystemClock
from shared.domain.errors import BrokerUnavailable
from shared.domain.lanes import JobClass, Mailbox, QueueName
from shared.domain.work_queue import DeadLetter, Judge, Message, WorkQueue
from tests.eventually import eventually
from tests.servers.proxy import Proxy

BULK = JobClass("bulk")


class JudgeDied(Exception):
    """Whatever a judge may run into."""


async def bury_all(queue: WorkQueue, lane: str, count: int) -> list[str]:
    ids = [f"job_{number:03} of {lane}" for number in range(count)]
    for job_id in ids:
        await queue.bury(Message(b"body", job_id), "no hope")
    return ids


async def left(queue: WorkQueue, lane: str) -> list[str]:
    """Give the ids of the lane's letters."""
    return sorted(letter.id for letter in await queue.dead_letters(1_000) if letter.id.endswith(lane))


def removing(is_picked: Callable[[DeadLetter], bool]) -> Judge:
    async def judge(letters: Sequence[DeadLetter]) -> list[bool]:
        return [is_picked(letter) for letter in letters]

    return judge


async def test_a_dead_letter_tells_when_it_died_and_where_it_came_from(queue: WorkQueue, lane: str) -> None:
    clock, origin = SystemClock(), QueueName(lane, BULK)
    message = Message(b"\xff\x00", f"job_1 of {lane}", {"traceparent": "00-ab-cd-01"})
    before = clock.now()
    await queue.bury(message, "4 attempts made", origin)
    (letter,) = [letter for letter in await queue.dead_letters(1_000) if letter.id.endswith(lane)]
    assert (letter.message, letter.reason, letter.queue) == (message, "4 attempts made", origin)
    assert letter.died_at is not None
    assert before - 0.01 <= letter.died_at <= clock.now() + 0.01


async def test_a_letter_without_a_job_has_the_digest_of_its_body_for_an_id(queue: WorkQueue, lane: str) -> None:
    bodies = [f"one of {lane}".encode(), f"two of {lane}".encode()]
    for body in (*bodies, bodies[0]):
        await queue.bury(Message(body, ""), "not JSON")
    letters = [letter for letter in await queue.dead_letters(1_000) if letter.message.body in bodies]
    assert [letter.message.body for letter in letters] == [*bodies, bodies[0]]
    first, second, again = (letter.id for letter in letters)
    assert first == again != second
    assert first.startswith("dead_")
    await queue.judge_dead_letters(removing(lambda letter: letter.id in {first, second}))
    assert not [letter for letter in await queue.dead_letters(1_000) if letter.message.body in bodies]


async def test_what_may_go_is_gone_and_the_others_stay(queue: WorkQueue, another: WorkQueue, lane: str) -> None:
    ids = await bury_all(queue, lane, 230)
    picked = set(ids[::3])
    assert await queue.judge_dead_letters(removing(lambda letter: letter.id in picked)) >= len(ids)
    for looking in (another, queue):
        assert await left(looking, lane) == [job_id for job_id in ids if job_id not in picked]


async def test_no_more_are_judged_than_asked_for(queue: WorkQueue, lane: str) -> None:
    await bury_all(queue, lane, 5)
    assert await queue.judge_dead_letters(removing(lambda _: False), limit=3) == 3
    assert len(await queue.dead_letters(3)) == 3
    assert len(await left(queue, lane)) == 5


async def test_a_judge_that_fails_loses_no_letter(queue: WorkQueue, another: WorkQueue, lane: str) -> None:
    ids = await bury_all(queue, lane, 3)

    async def fail(_: Sequence[DeadLetter]) -> list[bool]:
        raise JudgeDied

    with pytest.raises(JudgeDied):
        await queue.judge_dead_letters(fail)

    async def are_all_there() -> bool:
        return await left(another, lane) == ids

    await eventually(are_all_there)


async def test_a_process_that_is_lost_while_it_judges_loses_no_letter(
    queue: WorkQueue, distant: WorkQueue, line: Proxy, lane: str
) -> None:
    ids = await bury_all(queue, lane, 3)

    async def lose_the_line(letters: Sequence[DeadLetter]) -> list[bool]:
        await line.go_away()
        return [letter.id.endswith(lane) for letter in letters]

    with pytest.raises(BrokerUnavailable):
        await distant.judge_dead_letters(lose_the_line)

    async def are_all_there() -> bool:
        return await left(queue, lane) == ids

    await eventually(are_all_there)


async def test_a_dead_piece_of_mail_is_not_the_job_that_it_is_about(queue: WorkQueue, lane: str) -> None:
    message = Message(f"about {lane}".encode(), f"job_1 of {lane}")
    for origin in (QueueName(lane, BULK), Mailbox.WEBHOOKS.queue, Mailbox.REPLIES.queue):
        await queue.bury(message, "no hope", origin)
    letters = [letter for letter in await queue.dead_letters(1_000) if letter.message.job_id.endswith(lane)]
    assert len({letter.id for letter in letters}) == 3
    assert sum(letter.id == message.job_id for letter in letters) == 1


async def test_two_looks_at_once_see_the_same(queue: WorkQueue, lane: str) -> None:
    ids = await bury_all(queue, lane, 4)
    assert list(await asyncio.gather(left(queue, lane), left(queue, lane))) == [ids] * 2
