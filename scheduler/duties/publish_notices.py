"""Publish the notices that whoever ended a job or a batch could not publish."""

from typing import Final

from scheduler.duties.parts import DutyParts
from shared.domain.notices import Announcer

OVERDUE_AFTER_S: Final = 15.0
"""Seconds: well beyond the time a publish may take; what is told twice is no harm, and needless."""

AT_ONCE: Final = 500


class PublishNotices:
    """A duty. Running it twice at once tells some news twice, which their couriers must bear anyway."""

    def __init__(self, parts: DutyParts, overdue_after_s: float = OVERDUE_AFTER_S) -> None:
        """Look in the outbox, publish to the mailboxes."""
        self._outbox = parts.outbox
        self._announcer = Announcer(parts.queue, parts.outbox)
        self._overdue_after_s = overdue_after_s

    async def __call__(self) -> dict[str, int]:
        """Do it; give the number of notices for each mailbox. Raises ``Unavailable``, ``Unroutable``."""
        told: dict[str, int] = {}
        for notice in await self._outbox.overdue(self._overdue_after_s, AT_ONCE):
            await self._announcer.tell([notice])
            told[notice.mailbox.value] = told.get(notice.mailbox.value, 0) + 1
        return told
