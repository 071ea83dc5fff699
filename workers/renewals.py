"""The reservations of calls that may last longer than a reservation does: held on to while they are under way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from shared.domain.clock import Clock
from shared.domain.errors import StoreUnavailable
from shared.domain.rate_limit import RESERVATION_S
from shared.domain.reservations import RateLimits, Reservation

RENEW_EVERY_S: Final = RESERVATION_S / 4
"""Seconds between renewals: a few may fail, or come late, before a reservation is forgotten."""


class Renewals:
    """Renews by this process, so with a worker that dies its reservations end as soon as any others do."""

    def __init__(self, limits: RateLimits, clock: Clock) -> None:
        """Renew in ``limits``."""
        self._limits = limits
        self._clock = clock

    @asynccontextmanager
    async def held(self, reservation: Reservation) -> AsyncIterator[None]:
        """Hold on to a reservation within. It is settled outside; a renewal that comes after that does nothing."""
        renewing = asyncio.create_task(self._renew(reservation))
        try:
            yield
        finally:
            renewing.cancel()

    async def _renew(self, reservation: Reservation) -> None:
        is_held = True
        while is_held:
            await self._clock.sleep(RENEW_EVERY_S)
            try:
                is_held = await self._limits.renew(reservation)
            except StoreUnavailable:
                continue
