"""A delivery: one event on its way to one place, each of its attempts, and the port to the records.

::

    pending ─► delivered | failed
       ▲            │
       └─redeliver──┘

Each attempt has a number, and a message that names it. Whoever makes the attempt claims the number first, for a short
while; what a crash left behind is made again under the same number.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from shared.domain import ids
from shared.domain.errors import MalformedMessage
from shared.domain.webhook_schedule import DeliveryStatus, Round, Ruling
from shared.domain.webhooks import WebhookEvent
from shared.domain.work_queue import Message

KEPT_S: Final = 4 * 86_400.0
"""Seconds that a delivery is kept after its last change."""

SOON_S: Final = 60.0
"""A delivery whose next attempt comes within so many seconds is not begun anew."""

LOST_AFTER_S: Final = 3_600.0
"""Seconds after which the message of an attempt that was due is taken for lost, so that it may be begun anew."""

MOST_ATTEMPTS: Final = 50
"""Attempts that a delivery shows: the last ones."""


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """One request. at: seconds since the epoch. status: HTTP's; None: there was no answer. problem: what went wrong."""

    at: float
    status: int | None
    problem: str | None
    duration_s: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event, one destination.

    id: ``dlv_`` and 26 characters that sort by the event's moment; it follows from the event and the destination.
    endpoint_id: the team's endpoint; None: ``url`` was named on the job or the batch.
    attempts: the last ``MOST_ATTEMPTS``. made: attempts that came to an end. queued: the number of the last attempt whose message was confirmed.
    made_before: attempts before it was begun anew. began_at: when it was begun, or begun anew.
    """

    id: str
    event: WebhookEvent
    url: str
    endpoint_id: str | None
    began_at: float
    status: DeliveryStatus = DeliveryStatus.PENDING
    attempts: tuple[DeliveryAttempt, ...] = ()
    made: int = 0
    made_before: int = 0
    queued: int = 0
    next_attempt_at: float | None = None

    @property
    def round(self) -> Round:
        """The attempts since it was begun anew, with the one under way."""
        return Round(self.made - self.made_before + 1, self.began_at)

    @property
    def is_unpublished(self) -> bool:
        """Whether it waits for an attempt whose message was never confirmed."""
        return self.status is DeliveryStatus.PENDING and self.queued <= self.made

    @property
    def due(self) -> "AttemptDue":
        """Its next attempt."""
        return AttemptDue(self.event.team, self.id, self.made + 1)

    @classmethod
    def to(cls, event: WebhookEvent, url: str, endpoint_id: str | None, now: float) -> "Delivery":
        """Begin the delivery of an event to a place."""
        return cls(_delivery_id(event, endpoint_id or url), event, url, endpoint_id, now, next_attempt_at=now)


@dataclass(frozen=True, slots=True)
class AttemptDue:
    """What a message asks for: the attempt with that ``number``, counted from 1."""

    team: str
    delivery_id: str
    number: int

    def message(self, times_busy: int = 0) -> Message:
        """Give the message; ``times_busy``: how often it came while there was no place for it."""
        body = {"delivery": {"team": self.team, "id": self.delivery_id, "attempt": self.number}}
        headers = {BUSY: str(times_busy)} if times_busy else {}
        return Message(json.dumps(body).encode(), self.delivery_id, headers)

    @classmethod
    def read(cls, document: object) -> "AttemptDue | None":
        """Read what stood in a message; None: it is something else. Raises ``MalformedMessage`` for a broken one."""
        if not isinstance(document, dict) or "delivery" not in document:
            return None
        match document["delivery"]:
            case {"team": str(team), "id": str(delivery_id), "attempt": int(number)}:
                return cls(team, delivery_id, number)
        raise MalformedMessage("delivery: must have `team`, `id` and `attempt`")


BUSY: Final = "busy"
"""The header that counts how often a message came while there was no place for it."""


class Turn(StrEnum):
    """What the claim of an attempt found."""

    GRANTED = "granted"
    EARLY = "early"
    """It is not its time yet."""
    HELD = "held"
    """Somebody makes it now."""
    OVER = "over"
    """It was made, or is not wanted any more."""
    GONE = "gone"
    """There is no such delivery."""


@dataclass(frozen=True, slots=True)
class AttemptClaim:
    """The answer to a claim, and the delivery, unless it is gone."""

    turn: Turn
    delivery: Delivery | None


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries to list; None: all. subject: the job's or the batch's id."""

    subject: str | None = None
    endpoint_id: str | None = None
    status: DeliveryStatus | None = None

    def matches(self, delivery: Delivery) -> bool:
        """Whether a delivery is to be listed."""
        return (
            self.subject in (None, delivery.event.subject)
            and self.endpoint_id in (None, delivery.endpoint_id)
            and self.status in (None, delivery.status)
        )


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """Some deliveries, newest event first. ``next_after``: pass it as ``after`` for the next page; None: there is none."""

    deliveries: tuple[Delivery, ...]
    next_after: str | None


class Deliveries(Protocol):
    """The port to the deliveries' records. All of it raises ``StoreUnavailable``, and may be repeated."""

    async def begin(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Record deliveries; give each as it stands: one that is there already is not begun anew."""
        ...

    async def begin_anew(self, team: str, delivery_id: str, now: float) -> Delivery | None:
        """Let a delivery have a new first attempt, whatever became of it. None: this team has none by that id.

        Raises ``AttemptComes`` while an attempt is under way, or its message comes within ``SOON_S``.
        """
        ...

    async def claim(self, due: AttemptDue, now: float, lease_s: float) -> AttemptClaim:
        """Ask to make an attempt, and be the only one for ``lease_s`` seconds, unless it is noted before."""
        ...

    async def let_go(self, due: AttemptDue) -> None:
        """Give an attempt back that was granted to the caller and not made."""
        ...

    async def note(self, delivery: Delivery, attempt: DeliveryAttempt, ruling: Ruling) -> bool:
        """Note how the next attempt ended, and what follows; False: it was noted before, by another."""
        ...

    async def note_queued(self, due: AttemptDue) -> None:
        """Note that the message of an attempt was confirmed."""
        ...

    async def overdue(self, before: float, most: int) -> list[Delivery]:
        """Give unpublished deliveries of all teams, at most so many, whose next attempt was due ``before``.

        before: seconds since the epoch. Nobody else will publish their messages, unless just now.
        """
        ...

    async def forget(self, most: int) -> int:
        """Take deliveries of all teams that are kept no more out of the listings, about so many; give how many those were.

        Their records end by themselves; a team whose deliveries begin one after the other needs no such help.
        """
        ...

    async def get(self, team: str, delivery_id: str) -> Delivery | None:
        """Give a delivery; None: this team has none by that id."""
        ...

    async def page(self, team: str, wanted: DeliveryFilter, after: str | None, limit: int) -> DeliveryPage:
        """Give deliveries older than ``after``, at most ``limit``; as with jobs, a page may be short though more follow."""
        ...


def _delivery_id(event: WebhookEvent, destination: str) -> str:
    digest = hashlib.sha256(f"{event.id}\n{destination}".encode(errors="surrogatepass")).digest()
    return ids.new_id("dlv", event.at, lambda bits: int.from_bytes(digest[: bits // 8], "big"))
