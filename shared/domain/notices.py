"""What somebody must be told of: from the moment it happened until a courier's mailbox has it.

The script that ends a job puts its notices into the outbox, in the same atomic step. Whoever ended it publishes
them, confirmed, and only then takes them out. A crash in between leaves them there; the message that comes again, or
the scheduler, publishes them then. So a notice may be published twice, and never not at all.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.domain.errors import MalformedMessage
from shared.domain.job import JobSpec
from shared.domain.lanes import Mailbox
from shared.domain.work_queue import Message, WorkQueue


@dataclass(frozen=True, slots=True)
class Notice:
    """Something ended or changed. ``subject``: the id of the job, the batch, the endpoint or the provider's change; ``mailbox``: who carries the news."""

    team: str
    mailbox: Mailbox
    subject: str

    @property
    def message(self) -> Message:
        """The message that tells it."""
        return Message(json.dumps({"notice": {"team": self.team, "subject": self.subject}}).encode(), self.subject)

    @classmethod
    def read(cls, mailbox: Mailbox, document: object) -> "Notice | None":
        """Read what stood in a message; None: it is no notice. Raises ``MalformedMessage`` for a broken one."""
        if not isinstance(document, dict) or "notice" not in document:
            return None
        notice = document["notice"]
        if not isinstance(notice, dict) or not all(isinstance(notice.get(key), str) for key in ("team", "subject")):
            raise MalformedMessage("notice: must have `team` and `subject`")
        return cls(notice["team"], mailbox, notice["subject"])


class Outbox(Protocol):
    """The port to the notices that are not published yet. All of it raises ``StoreUnavailable``."""

    async def pending(self, team: str, subjects: Sequence[str]) -> list[Notice]:
        """Give the notices of these subjects that are not published."""
        ...

    async def overdue(self, older_than_s: float, limit: int) -> list[Notice]:
        """Give notices, of all teams, that have been waiting for longer than that many seconds."""
        ...

    async def remove(self, notices: Sequence[Notice]) -> None:
        """Note that they were published."""
        ...


class Announcer:
    """Publishes notices and takes them out of the outbox."""

    def __init__(self, queue: WorkQueue, outbox: Outbox) -> None:
        """``queue``: where the mailboxes are."""
        self._queue = queue
        self._outbox = outbox

    async def tell(self, notices: Sequence[Notice]) -> None:
        """Publish them; when this returns the broker has them. Raises ``Unavailable``: some may be left for later."""
        for notice in notices:
            await self._queue.publish(notice.mailbox.queue, notice.message)
        if notices:
            await self._outbox.remove(notices)

    async def tell_end(self, spec: JobSpec, notices: Sequence[Notice]) -> None:
        """Tell the end of a job. None, though somebody is to be told, may mean that its script ran twice: then look."""
        await self.tell(notices)
        if not notices and spec.callback.mailboxes:
            await self.tell_what_is_left_of(spec)

    async def tell_what_is_left_of(self, spec: JobSpec) -> None:
        """As ``tell_what_is_left``, of a job and of its batch, which may have ended with it."""
        await self.tell_what_is_left(spec.team, [subject for subject in (spec.id, spec.batch_id) if subject])

    async def tell_what_is_left(self, team: str, subjects: Sequence[str]) -> None:
        """Publish those notices of these subjects that nobody has published yet. Raises as ``tell``."""
        await self.tell(await self._outbox.pending(team, subjects))
