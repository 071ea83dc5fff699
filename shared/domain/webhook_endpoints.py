"""A team's webhook endpoints, when one is given up, and the port to their records."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from shared.domain.notices import Notice
from shared.domain.webhook_secrets import SigningSecret
from shared.domain.webhooks import EventType, WebhookEvent, event_id

MOST_ENDPOINTS: Final = 50
"""Of one team: each gets every event."""

GIVEN_UP_AFTER_S: Final = 5 * 86_400.0
"""Seconds of failing at every attempt after which an endpoint is disabled."""

STILL_THE_SAME_S: Final = 30 * 3_600.0
"""Two failures that are further apart than the longest wait between attempts do not belong together: nobody asked in between."""

GONE: Final = "it answered 410"
FAILED_FOR_DAYS: Final = "it failed at every attempt for 5 days"


@dataclass(frozen=True, slots=True)
class Failing:
    """An endpoint answers no attempt with success, from ``since`` to ``last_at`` (seconds since the epoch)."""

    since: float
    last_at: float

    @property
    def is_too_long(self) -> bool:
        """Whether the endpoint is to be given up."""
        return self.last_at - self.since >= GIVEN_UP_AFTER_S


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a team wants its events.

    id: ``we_`` and 26 sortable characters. events: the types it wants; none: all.
    created_at, disabled_at: seconds since the epoch; None: it is enabled. disabled_because: why, for people.
    sequence: of the event that it was disabled. failing: since when, if it does.
    """

    id: str
    team: str
    url: str
    events: tuple[EventType, ...]
    secret: SigningSecret
    created_at: float
    disabled_at: float | None = None
    disabled_because: str | None = None
    sequence: int | None = None
    failing: Failing | None = None

    def wants(self, event: WebhookEvent) -> bool:
        """Whether an event is to be sent here; nothing is, once it is disabled."""
        return self.disabled_at is None and (not self.events or event.type in self.events)

    def failed_at(self, now: float) -> Failing:
        """Give since when it fails, if it failed ``now``."""
        if self.failing is None or now - self.failing.last_at > STILL_THE_SAME_S:
            return Failing(now, now)
        return Failing(self.failing.since, max(now, self.failing.last_at))

    @property
    def end(self) -> WebhookEvent | None:
        """The event that it was disabled; None: it is not."""
        if self.disabled_at is None:
            return None
        return WebhookEvent(
            id=event_id(self.id, self.sequence or 0),  # it may be enabled and disabled again
            team=self.team,
            type=EventType.ENDPOINT_DISABLED,
            subject=self.id,
            at=self.disabled_at,
            sequence=self.sequence or 0,
            data={"id": self.id, "object": "webhook_endpoint", "url": self.url, "reason": self.disabled_because},
        )


class WebhookEndpoints(Protocol):
    """The port to the endpoints' records. All of it raises ``StoreUnavailable``.

    How many are enabled is counted in the same step: it decides whether a job's end is told at all.
    """

    async def add(self, endpoint: Endpoint) -> bool:
        """Keep a new endpoint; False: the team has ``MOST_ENDPOINTS``."""
        ...

    async def get(self, team: str, endpoint_id: str) -> Endpoint | None:
        """Give an endpoint; None: this team has none by that id."""
        ...

    async def of_team(self, team: str) -> list[Endpoint]:
        """Give all of a team's, newest first."""
        ...

    async def remove(self, team: str, endpoint_id: str) -> Endpoint | None:
        """Forget an endpoint; give what it was. None: this team has none by that id."""
        ...

    async def rotate(self, team: str, endpoint_id: str, now: float) -> Endpoint | None:
        """Give it a new secret; those before it are valid as ``WebhookSecrets.rotate`` says. None: this team has none by that id."""
        ...

    async def enable(self, team: str, endpoint_id: str) -> Endpoint | None:
        """Send there again, and forget that it failed. None: this team has none by that id."""
        ...

    async def disable(self, team: str, endpoint_id: str, reason: str, now: float) -> Sequence[Notice] | None:
        """Send nothing there any more; give the notices to be published. None: it was disabled, or is not there."""
        ...

    async def note_failing(self, team: str, endpoint_id: str, failing: Failing | None) -> None:
        """Note since when it fails; None: it does not."""
        ...
