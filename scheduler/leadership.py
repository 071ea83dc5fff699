"""Which of several schedulers acts: the one whose lease runs."""

import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from shared.domain.clock import Clock
from shared.domain.errors import StoreUnavailable
from shared.domain.events import Emit, LeadLost, LeadTaken
from shared.domain.schedule import Schedule

LEASE_S: Final = 10.0
"""Seconds a scheduler leads after its last renewal; another one takes over after that."""

RIGHT_WITHIN_S: Final = 2.0
"""A clock that differs from the store's by less is right: a round trip does not tell it more exactly."""

RENEWALS_PER_LEASE: Final = 3
LOOKS_PER_LEASE: Final = 10
"""How often one that does not lead asks for the lease, so that one given back is taken at once."""


class Leadership:
    """A scheduler's lease, renewed in the background, and its term."""

    def __init__(self, schedule: Schedule, clock: Clock, emit: Emit, lease_s: float = LEASE_S) -> None:
        """``lease_s``: seconds; all schedulers should have the same."""
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._schedule = schedule
        self._clock = clock
        self._emit = emit
        self._lease_s = lease_s
        self._term: int | None = None
        self._told: int | None = None
        self._ends_at = 0.0
        self._ahead_s = 0.0

    @property
    def ahead_s(self) -> float:
        """Seconds by which our clock is ahead of the store's; 0.0: it is right. It moves only if the clock is set anew."""
        return self._ahead_s

    @property
    def term(self) -> int | None:
        """The term in which we lead, as far as we know; None: we do not. The store has the last word."""
        return self._term if self._clock.monotonic() < self._ends_at else None

    def doubt(self) -> None:
        """Take the lead for lost until the lease is taken again: the store said that our term is over."""
        self._ends_at = 0.0

    async def keep(self, on_taken: Callable[[int], Awaitable[None]]) -> None:
        """Ask for the lease, and renew it, until cancelled; ``on_taken`` is told each new term of ours."""
        while True:
            with suppress(StoreUnavailable):
                await self._ask(on_taken)
            if self.term is None:
                self._lose()
            beats = RENEWALS_PER_LEASE if self.term is not None else LOOKS_PER_LEASE
            await self._clock.sleep(self._lease_s / beats)

    async def end(self) -> None:
        """Give the lease back, so that another takes over at once; without the store it ends by itself."""
        self._term = None
        with suppress(StoreUnavailable):
            await self._schedule.resign(self.name)

    async def _ask(self, on_taken: Callable[[int], Awaitable[None]]) -> None:
        asked_at = self._clock.monotonic()
        term = await self._schedule.lead(self.name, self._lease_s)
        if term is None:
            self.doubt()
            return
        await self._compare_clocks()
        if term != self._term:
            self._lose()
            self._term = term
            self._emit(LeadTaken(self.name, term))
        self._ends_at = asked_at + self._lease_s
        if term != self._told:  # the store may go away in the middle of that; then it is done at the next renewal
            await on_taken(term)
            self._told = term

    async def _compare_clocks(self) -> None:
        before = self._clock.now()
        theirs = await self._schedule.now()
        ahead_s = (before + self._clock.now()) / 2 - theirs
        if abs(ahead_s) < RIGHT_WITHIN_S:
            self._ahead_s = 0.0
        elif abs(ahead_s - self._ahead_s) > RIGHT_WITHIN_S:  # else two times could become the same one
            self._ahead_s = ahead_s

    def _lose(self) -> None:
        if self._term is not None:
            self._emit(LeadLost(self.name, self._term))
        self._term = None
