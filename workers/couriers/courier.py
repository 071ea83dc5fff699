"""The couriers' process: a round for each mailbox, until it is told to stop."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from shared.domain.clock import Clock
from shared.domain.events import Emit, RoleStarted, RoleStopped
from shared.domain.lanes import MAILBOXES, Mailbox
from shared.domain.work_queue import WorkQueue
from workers.couriers.mail_round import Handle, MailRound

GRACE_S: Final = 20.0
"""Seconds that deliveries under way are given when the couriers are told to stop: longer than a receiver may take."""


class Courier:
    """One process's couriers."""

    def __init__(self, queue: WorkQueue, handlers: Mapping[Mailbox, Handle], clock: Clock, emit: Emit) -> None:
        """``handlers``: who carries what is in each mailbox."""
        self._queue = queue
        self._handlers = handlers
        self._clock = clock
        self._emit = emit

    async def run(self, stop: asyncio.Event, on_ready: Callable[[], None] = lambda: None) -> None:
        """Carry until ``stop`` is set, then let what is under way end."""
        await self._queue.declare(sorted(MAILBOXES))
        rounds = [
            MailRound(mailbox, handle, self._queue, self._clock, self._emit)
            for mailbox, handle in self._handlers.items()
        ]
        async with asyncio.TaskGroup() as running:
            tasks = [running.create_task(mail_round.run()) for mail_round in rounds]
            self._emit(RoleStarted("couriers", "courier"))
            on_ready()
            await stop.wait()
            for task in tasks:
                task.cancel()
        given_back = sum(await asyncio.gather(*(mail_round.drain(GRACE_S) for mail_round in rounds)))
        self._emit(RoleStopped("couriers", "courier", given_back))
