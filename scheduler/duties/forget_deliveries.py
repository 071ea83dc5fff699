"""Take webhook deliveries that are kept no more out of the listings, also where no other one begins that would do it."""

from typing import Final

from scheduler.duties.parts import DutyParts

AT_ONCE: Final = 10_000


class ForgetDeliveries:
    """A duty. The records themselves end by the store's own clock."""

    def __init__(self, parts: DutyParts) -> None:
        """Look in the store."""
        self._deliveries = parts.deliveries

    async def __call__(self) -> int:
        """Do it; give the number of deliveries. Raises ``StoreUnavailable``."""
        return await self._deliveries.forget(AT_ONCE)
