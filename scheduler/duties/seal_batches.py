"""Close the batches whose upload nobody goes on with: its API was killed, and the client did not come again."""

from typing import Final

from scheduler.duties.parts import DutyParts
from shared.domain.job_upkeep import BATCH_LEASE_S
from shared.domain.notices import Announcer

AT_ONCE: Final = 200


class SealBatches:
    """A duty. A batch that is sealed has what was accepted, and opens again when the same upload comes again."""

    def __init__(self, parts: DutyParts, lease_s: float = BATCH_LEASE_S) -> None:
        """``lease_s``: seconds after which an upload that did not open its batch again is given up."""
        self._upkeep = parts.upkeep
        self._announcer = Announcer(parts.queue, parts.outbox)
        self._lease_s = lease_s

    async def __call__(self) -> int:
        """Do it; give the number of batches. Raises ``Unavailable``: what is not told yet, the outbox keeps."""
        sealed = await self._upkeep.seal(AT_ONCE, self._lease_s)
        await self._announcer.tell([notice for batch in sealed for notice in batch.notices])
        return len(sealed)
