"""Who is asking."""

import hashlib
from dataclasses import dataclass
from typing import Final, Protocol

DEFAULT_TEAM: Final = "default"
"""The team of the admin key's own jobs."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The one behind a key: the team it acts for, and whether it administers the whole."""

    team: str
    is_admin: bool = False


class Keyring(Protocol):
    """The port to the known API keys."""

    async def principal(self, key: str) -> Principal | None:
        """Give who holds the key, or None for a key that is not known."""
        ...


def hash_key(key: str) -> str:
    """Give the form in which a key is kept: its SHA-256 (hex). Keys are long and random, so no salt is needed."""
    return hashlib.sha256(key.encode()).hexdigest()
