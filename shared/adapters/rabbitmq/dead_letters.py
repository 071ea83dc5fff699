"""The dead-letter queue, which can only be looked at by taking.

Each letter is taken and kept in hand while the others are looked at; at the end those that stay go back. If this
process ends before, all of them do.

Limits to know: what one process looks at, another one does not see meanwhile; and what goes back (more than 32 letters)
comes back in any order, before what was not looked at.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic

from shared.adapters.rabbitmq.connection import BrokerConnection
from shared.adapters.rabbitmq.message_format import dead_letter_in
from shared.adapters.rabbitmq.names import DEAD
from shared.domain.work_queue import DeadLetter, Judge

_ROUND_DEADLINE_S: Final = 60.0
"""Seconds for one look at everything: each letter takes a round trip, and what its judge does."""

_AT_ONCE: Final = 100
_BYTES_AT_ONCE: Final = 16 * 1024 * 1024
"""Letters, and bytes of them, that a judge is shown together; further ones are not in memory meanwhile."""


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
            seen, kept = 0, 0
            while taken := await _take(channel, min(_AT_ONCE, limit - seen)):
                seen += len(taken)
                verdicts = await judge([dead_letter_in(letter) for letter in taken])
                for letter, may_go in zip(taken, verdicts, strict=True):
                    tag = letter.delivery_tag or 0
                    if may_go:
                        await channel.basic_ack(tag, wait=False)
                    else:
                        kept = tag
            if kept:
                await channel.basic_nack(kept, multiple=True, requeue=True)
            if seen:
                await channel.queue_declare(DEAD, passive=True)  # its answer comes after everything above is done
        return seen


async def _take(channel: AbstractChannel, most: int) -> list[DeliveredMessage]:
    taken: list[DeliveredMessage] = []
    size = 0
    while len(taken) < most and size < _BYTES_AT_ONCE:
        letter = await channel.basic_get(DEAD)
        if not isinstance(letter.delivery, Basic.GetOk):
            break
        taken.append(letter)
        size += len(letter.body)
    return taken
