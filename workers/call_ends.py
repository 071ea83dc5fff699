"""The ends of calls, told to the limits: at once, or when the store is back."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from shared.domain.clock import Clock
from shared.domain.errors import StoreUnavailable
from shared.domain.events import BreakerMoved, Emit
from shared.domain.rate_limit import RESERVATION_S, CallEnd, Cost
from shared.domain.reservations import RateLimits, Reservation

PAUSE_S: Final = 0.5
"""Seconds between tries while the store is away."""

TRIES: Final = int(RESERVATION_S / PAUSE_S)
"""After these the store has forgotten the reservation by itself."""

Tell = Callable[[], Awaitable[None]]


class CallEnds:
    """An answer never waits for the store to be back; what its call took is told to it then.

    Otherwise a slot of a deployment that allows few calls at once, or the one probe of its breaker, would be held
    until it is forgotten. Settling twice changes nothing.
    """

    def __init__(self, limits: RateLimits, clock: Clock, emit: Emit) -> None:
        """Settle in ``limits``."""
        self._limits = limits
        self._clock = clock
        self._emit = emit
        self._late: dict[asyncio.Task[None], Tell] = {}

    async def settle(self, reservation: Reservation, taken: Cost, end: CallEnd) -> None:
        """Note what a call took and how it ended."""
        await self._now_or_later(partial(self._settle, reservation, taken, end))

    def settle_later(self, reservation: Reservation, taken: Cost, end: CallEnd) -> None:
        """As ``settle``, when the store is back; without waiting for it."""
        self._begin(partial(self._settle, reservation, taken, end))

    async def refuse(self, reservation: Reservation, retry_after_s: float) -> None:
        """Note that the provider refused a call (429)."""
        await self._now_or_later(lambda: self._limits.refuse(reservation, retry_after_s))

    async def close(self) -> None:
        """Tell what is left a last time; what the store does not hear now, it forgets by itself."""
        left = dict(self._late)
        for late in left:
            late.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await asyncio.gather(*(_told(tell) for tell in left.values()))

    async def _settle(self, reservation: Reservation, taken: Cost, end: CallEnd) -> None:
        moved = await self._limits.settle(reservation, taken, end)
        if moved is not None:
            self._emit(BreakerMoved(reservation.lane, reservation.deployment.id, moved.value))

    async def _now_or_later(self, tell: Tell) -> None:
        if not await _told(tell):
            self._begin(tell)

    def _begin(self, tell: Tell) -> None:
        late = asyncio.create_task(self._later(tell))
        self._late[late] = tell
        late.add_done_callback(self._late.pop)

    async def _later(self, tell: Tell) -> None:
        for _ in range(TRIES):
            await self._clock.sleep(PAUSE_S)
            if await _told(tell):
                return


async def _told(tell: Tell) -> bool:
    try:
        await tell()
    except StoreUnavailable:
        return False
    return True
