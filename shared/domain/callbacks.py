"""Who is told of a job's end, and what became of that."""

from dataclasses import dataclass
from enum import StrEnum

from shared.domain.lanes import Mailbox


@dataclass(frozen=True, slots=True)
class Callback:
    """Who is told of the job's end, beside those who ask.

    webhook: a URL that gets an event. reply_to: a queue that gets the finished job, with ``correlation_id``.
    """

    webhook: str | None = None
    reply_to: str | None = None
    correlation_id: str | None = None

    @property
    def mailboxes(self) -> tuple[Mailbox, ...]:
        """Whose business it is to tell."""
        asked = ((Mailbox.WEBHOOKS, self.webhook), (Mailbox.REPLIES, self.reply_to))
        return tuple(mailbox for mailbox, wanted in asked if wanted is not None)


class ReplyStatus(StrEnum):
    """What became of a reply."""

    DELIVERED = "delivered"
    """The broker has it in the queue, or passed it on to its client."""
    UNDELIVERABLE = "undeliverable"
    """Its queue was not there, and is waited for no more."""


@dataclass(frozen=True, slots=True)
class ReplyReport:
    """How telling a job's end to its ``reply_to`` ended; ``at``: seconds since the epoch."""

    status: ReplyStatus
    at: float
    message: str | None = None
