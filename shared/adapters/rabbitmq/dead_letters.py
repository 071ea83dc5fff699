"""The dead-letter queue, which can only be looked at by taking.

Each letter is taken and kept in hand while the others are looked at; at the end those that stay go back. If this
process ends before, all of them do.

Limits to know: what one process looks at, another one does not see meanwhile; and what goes back (more than 32 letters)
comes back in any order, before what was not looked at.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic

from shared.adapters.rabbitmq.connection import BrokerConnection
from shared.adapters.rabbitmq.message_format import dead_letter_in
from shared.adapters.rabbitmq.names import DEAD
from shared.domain.work_queue import DeadLetter, Judge

_ROUND_DEADLINE_S: Final = 60.0
"""Seconds for one look at everything, with what the judge does."""

_AT_ONCE: Final = 100
_BYTES_AT_ONCE: Final = 16 * 1024 * 1024
"""Letters, and bytes of them, that a judge is shown together."""

_OF_ONE_CONSUMER: Final = 100
"""Letters that may be in memory and not judged yet."""

_ALL: Final = 0
"""The delivery tag that stands for all that is not settled."""


class DeadLetterQueue:
    """Looks at the dead letters, and takes out those that may go. One look at a time."""

    def __init__(self, connection: BrokerConnection) -> None:
        """Look over this connection, on a channel for each look."""
        self._connection = connection
        self._looking = asyncio.Lock()

    async def oldest(self, limit: int) -> list[DeadLetter]:
        """Show up to ``limit`` letters. Raises ``BrokerUnavailable``."""
        found: list[DeadLetter] = []

        async def keep_all(letters: Sequence[DeadLetter]) -> list[bool]:
            found.extend(letters)
            return [False] * len(letters)

        await self.judge(keep_all, limit)
        return found

    async def judge(self, judge: Judge, limit: int) -> int:
        """Show up to ``limit`` letters to the judge, and acknowledge those that may go. Raises ``BrokerUnavailable``."""
        async with self._looking, self._connection.errand(_ROUND_DEADLINE_S) as channel:
            letters, seen = _Letters(channel), 0
            while taken := await letters.take(min(_AT_ONCE, limit - seen)):
                seen += len(taken)
                verdicts = await judge([dead_letter_in(letter) for letter in taken])
                for letter, may_go in zip(taken, verdicts, strict=True):
                    if may_go:
                        await channel.basic_ack(letter.delivery_tag or 0)
            await letters.put_back()
        return seen


class _Letters:
    """The letters as they come over one channel: by consumers, which is much quicker than asking for each.

    A consumer brings so many as it may, and no more while they are kept in hand; then another one is needed. That the
    queue is empty is known only from asking for one more.
    """

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self._arrived: deque[DeliveredMessage] = deque()
        self._consumers: list[str] = []

    async def take(self, most: int) -> list[DeliveredMessage]:
        taken: list[DeliveredMessage] = []
        size = 0
        while len(taken) < most and size < _BYTES_AT_ONCE:
            letter = self._arrived.popleft() if self._arrived else await self._next()
            if letter is None:
                break
            taken.append(letter)
            size += len(letter.body)
        return taken

    async def put_back(self) -> None:
        for tag in self._consumers:
            await self._channel.basic_cancel(tag)
        await self._channel.basic_nack(_ALL, multiple=True, requeue=True)
        await self._channel.queue_declare(DEAD, passive=True)  # its answer comes after everything above is done

    async def _next(self) -> DeliveredMessage | None:
        letter = await self._channel.basic_get(DEAD)
        if isinstance(letter.delivery, Basic.GetOk):
            await self._add_consumer()
            return letter
        await self._channel.queue_declare(DEAD, passive=True)  # its answer comes after what consumers were given
        await asyncio.sleep(0)
        return self._arrived.popleft() if self._arrived else None

    async def _add_consumer(self) -> None:
        await self._channel.basic_qos(prefetch_count=_OF_ONE_CONSUMER)
        registered = await self._channel.basic_consume(DEAD, self._on_letter)
        if registered.consumer_tag is not None:
            self._consumers.append(registered.consumer_tag)

    async def _on_letter(self, letter: DeliveredMessage) -> None:
        self._arrived.append(letter)
