"""Who is asking."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from shared.domain.allowances import NO_TERMS, Terms

DEFAULT_TEAM: Final = "default"
"""The team of the admin key's own jobs."""


class Scope(StrEnum):
    """What a key may do: submit and cancel jobs, read jobs and batches, administer the whole installation."""

    SUBMIT = "submit"
    READ = "read"
    ADMIN = "admin"


DEFAULT_SCOPES: Final = (Scope.SUBMIT, Scope.READ)
"""Those of a key that is made without any being named."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The one behind a key.

    team: whom it acts for. key_id: None: the administrator's own key, which is not kept in the store.
    terms: what was agreed with the key's holder, beside those of the team.
    """

    team: str
    scopes: frozenset[Scope] = frozenset(DEFAULT_SCOPES)
    key_id: str | None = None
    terms: Terms = NO_TERMS


class Keyring(Protocol):
    """The port to the known API keys."""

    async def principal(self, key: str) -> Principal | None:
        """Give who holds the key, or None for a key that is not known or was revoked.

        Raises:
            StoreUnavailable: nobody can tell.
        """
        ...


def hash_key(key: str) -> str:
    """Give the form in which a key is kept: its SHA-256 (hex). Keys are long and random, so no salt is needed."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


class AdminKeyring:
    """The keyring that holds one key: the administrator's."""

    def __init__(self, admin_key_hash: str) -> None:
        """``admin_key_hash`` is what ``hash_key`` gave for the key; the key itself is not kept."""
        self._admin_key_hash = admin_key_hash

    async def principal(self, key: str) -> Principal | None:
        """Give the administrator for the one key; the comparison takes the same time for every other."""
        if hmac.compare_digest(hash_key(key), self._admin_key_hash):
            return Principal(DEFAULT_TEAM, frozenset(Scope))
        return None


class Keyrings:
    """Several keyrings, asked one after the other."""

    def __init__(self, keyrings: Sequence[Keyring]) -> None:
        """The first that knows a key has it."""
        self._keyrings = keyrings

    async def principal(self, key: str) -> Principal | None:
        """Give who holds the key; an outage of a later keyring's store does not shut out the keys of an earlier one."""
        for keyring in self._keyrings:
            principal = await keyring.principal(key)
            if principal is not None:
                return principal
        return None
