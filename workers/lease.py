"""The worker's lease: its sign of life, and its knowledge whether the store can be reached."""

import asyncio
from contextlib import suppress
from typing import Final

from shared.domain.clock import Clock
from shared.domain.errors import StoreUnavailable
from shared.domain.events import Emit, ServerBack, ServerLost
from shared.domain.worker_leases import WorkerLeases

LEASE_S: Final = 3.0
"""Seconds a worker counts as alive after its last renewal; its jobs are others' after that."""

RENEWALS_PER_LEASE: Final = 4


class WorkerLease:
    """Renewed in the background for as long as the worker lives."""

    def __init__(self, worker: str, leases: WorkerLeases, clock: Clock, emit: Emit) -> None:
        """``worker``: the name the jobs are claimed under."""
        self._worker = worker
        self._leases = leases
        self._clock = clock
        self._emit = emit
        self._is_held = asyncio.Event()

    async def held_or(self, stop: asyncio.Event) -> None:
        """Wait until the lease is held or ``stop`` is set."""
        waits = [asyncio.create_task(event.wait()) for event in (self._is_held, stop)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def held(self) -> None:
        """Wait until the lease is held; without it no job may be claimed."""
        await self._is_held.wait()

    def doubt(self) -> None:
        """Take it for lost until it is renewed: somebody could not reach the store."""
        self._is_held.clear()

    async def keep(self) -> None:
        """Renew until cancelled."""
        is_lost = False
        while True:
            try:
                await self._leases.renew(self._worker, LEASE_S)
            except StoreUnavailable as error:
                self.doubt()
                if not is_lost:
                    self._emit(ServerLost("store", error.message))
                is_lost = True
            else:
                self._is_held.set()
                if is_lost:
                    self._emit(ServerBack("store"))
                is_lost = False
            await self._clock.sleep(LEASE_S / RENEWALS_PER_LEASE)

    async def end(self) -> None:
        """Give the lease back; what the worker still held is free at once. Without the store it ends by itself."""
        self.doubt()
        with suppress(StoreUnavailable):
            await self._leases.end(self._worker)
