"""What webhooks are signed with, and the port to a team's own secret."""

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

PREFIX: Final = "whsec_"
"""What Standard Webhooks begins every secret with; base64 follows."""

SECRET_BYTES: Final = 32
OLDER_VALID_S: Final = 86_400.0
"""Seconds after a rotation for which the older secret signs as well."""

MOST_OLDER: Final = 5
"""Older secrets that sign at a time, since each makes every request longer; of more, the oldest give way."""


@dataclass(frozen=True, slots=True)
class OlderSecret:
    """A secret that was rotated; it signs as well until ``until`` (seconds since the epoch)."""

    secret: str = field(repr=False)
    until: float


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """A secret, and those before it, the newest first."""

    current: str = field(repr=False)
    older: tuple[OlderSecret, ...] = ()

    def valid_at(self, now: float) -> tuple[str, ...]:
        """Give those to sign with, the current one first."""
        return (self.current, *(older.secret for older in self.older if now < older.until))

    def older_until(self, now: float) -> float | None:
        """Give the time (seconds since the epoch) from which on the current one signs alone; None: it does already."""
        return max((older.until for older in self.older if now < older.until), default=None)


class WebhookSecrets(Protocol):
    """The port to the secrets of teams, for webhooks that are named on a job or a batch. All of it raises ``StoreUnavailable``."""

    async def secret(self, team: str) -> SigningSecret:
        """Give a team's secret; made when it is first asked for."""
        ...

    async def rotate(self, team: str, now: float) -> SigningSecret:
        """Give a team a new secret; the one before it is valid for another ``OLDER_VALID_S`` seconds.

        Those before that one are valid as long as they would have been, as far as they are ``MOST_OLDER`` in all.
        """
        ...


def new_secret(random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """Make a secret: ``whsec_`` and 32 random bytes in base64."""
    return PREFIX + base64.b64encode(random_bytes(SECRET_BYTES)).decode()
