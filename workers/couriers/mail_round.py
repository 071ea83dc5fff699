"""Empties one mailbox: takes what comes, as much at a time as it has hands, and loses nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from shared.domain.clock import Clock
from shared.domain.errors import Unavailable
from shared.domain.events import ArrivalCrashed, Emit
from shared.domain.hands import Hands
from shared.domain.lanes import DEFAULT_WEIGHTS, Mailbox
from shared.domain.work_queue import Delivery, WorkQueue

HANDS: Final = 256
"""Messages of one mailbox that a process handles at a time. Each is short, or waits on somebody else's server."""

AFTER_TROUBLE_S: Final = 0.5
"""Seconds that a message is kept back after a server was away, or our own code failed on it."""

Handle = Callable[[Delivery], Awaitable[None]]
"""Carries one message to its end and acknowledges it, after everything else. Raises ``Unavailable``: give it back."""


class MailRound:
    """One mailbox of one process."""

    def __init__(self, mailbox: Mailbox, handle: Handle, queue: WorkQueue, clock: Clock, emit: Emit) -> None:
        """``handle`` is called for many messages at once."""
        self._intake = queue.intake(mailbox.value, DEFAULT_WEIGHTS, HANDS)
        self._handle = handle
        self._clock = clock
        self._emit = emit
        self._hands = Hands(HANDS)

    async def run(self) -> None:
        """Take and handle until cancelled; see ``drain``."""
        await self._hands.carry_each(self._intake.take, self._carry)

    async def drain(self, grace_s: float) -> int:
        """Stop taking; wait for what is under way, ``grace_s`` seconds; give the rest back and tell how many that were."""
        await self._intake.close()
        return await self._hands.drain(grace_s)

    async def _carry(self, delivery: Delivery) -> None:
        try:
            await self._handle(delivery)
        except asyncio.CancelledError:
            await asyncio.shield(delivery.give_back())
            raise
        except Unavailable:
            await self._give_back_later(delivery)
        except Exception as error:  # noqa: BLE001 - whatever it is: the message is kept, and the others go on
            self._emit(ArrivalCrashed(delivery.message.job_id, type(error).__name__))
            await self._give_back_later(delivery)

    async def _give_back_later(self, delivery: Delivery) -> None:
        try:
            await self._clock.sleep(AFTER_TROUBLE_S)
        finally:
            await delivery.give_back()
