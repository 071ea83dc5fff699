"""Who is asking."""

import hashlib
import hmac
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


class AdminKeyring:
    """The keyring of an installation that has one key: the administrator's."""

    def __init__(self, admin_key_hash: str) -> None:
        """``admin_key_hash`` is what ``hash_key`` gave for the key; the key itself is not kept."""
        self._admin_key_hash = admin_key_hash

    async def principal(self, key: str) -> Principal | None:
        """Give the administrator for the one key; the comparison takes the same time for every other."""
        if hmac.compare_digest(hash_key(key), self._admin_key_hash):
            return Principal(DEFAULT_TEAM, is_admin=True)
        return None
