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


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """A secret, and the one before it until ``older_until`` (seconds since the epoch)."""

    current: str = field(repr=False)
    older: str | None = field(default=None, repr=False)
    older_until: float | None = None

    def valid_at(self, now: float) -> tuple[str, ...]:
        """Give those to sign with, the current one first."""
        if self.older is None or self.older_until is None or now >= self.older_until:
            return (self.current,)
        return (self.current, self.older)


class WebhookSecrets(Protocol):
    """The port to the secrets of teams, for webhooks that are named on a job or a batch. All of it raises ``StoreUnavailable``."""

    async def secret(self, team: str) -> SigningSecret:
        """Give a team's secret; made when it is first asked for."""
        ...

    async def rotate(self, team: str, now: float) -> SigningSecret:
        """Give a team a new secret; the one before it is valid for another ``OLDER_VALID_S`` seconds."""
        ...


def new_secret(random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """Make a secret: ``whsec_`` and 32 random bytes in base64."""
    return PREFIX + base64.b64encode(random_bytes(SECRET_BYTES)).decode()
