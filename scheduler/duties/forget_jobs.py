"""Take jobs whose retention is over out of the listings, also where no other job ends that would do it."""

from typing import Final

from scheduler.duties.parts import DutyParts

AT_ONCE: Final = 10_000


class ForgetJobs:
    """A duty. The records themselves end by the store's own clock."""

    def __init__(self, parts: DutyParts) -> None:
        """Look in the store."""
        self._upkeep = parts.upkeep

    async def __call__(self) -> int:
        """Do it; give the number of jobs. Raises ``StoreUnavailable``."""
        return await self._upkeep.forget(AT_ONCE)
