"""A batch that is held open for as long as its upload goes on, however slowly its lines come."""

import asyncio
from contextlib import suppress
from typing import Final

from producer_api.parts import ApiParts
from shared.domain.batches import Batch
from shared.domain.enduring_task import EnduringTask
from shared.domain.errors import StoreUnavailable
from shared.domain.job_upkeep import BATCH_LEASE_S

RENEWALS_PER_LEASE: Final = 4


class OpenBatch:
    """Opens its batch, again and again, until it is closed. One that nobody opens any more is the scheduler's to seal."""

    def __init__(self, batch: Batch, parts: ApiParts) -> None:
        """``batch``: as it begins, should it not be there."""
        self._batch = batch
        self._store = parts.store
        self._clock = parts.clock
        self._keeper = EnduringTask("open batch", self._keep_open, parts.clock, parts.emit)
        self._opening = asyncio.Lock()

    async def open(self) -> Batch:
        """Open it and give it. One with another webhook is left alone, and given as it is."""
        opened = await self._store.open_batch(self._batch)
        if opened.webhook == self._batch.webhook:
            self._keeper.start()
        return opened

    async def close(self) -> None:
        """Note that all lines have come in. Raises ``StoreUnavailable``: then the scheduler seals it."""
        try:
            async with self._opening:  # one under way must not come after the closing
                pass
        finally:
            await self._keeper.stop()
        await self._store.close_batch(self._batch.team, self._batch.id)

    async def _keep_open(self) -> None:
        while True:
            await self._clock.sleep(BATCH_LEASE_S / RENEWALS_PER_LEASE)
            async with self._opening:
                with suppress(StoreUnavailable):
                    await self._store.open_batch(self._batch)
