"""The API keys that administrators give out, and how a key is recognised."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from shared.domain.allowances import NO_TERMS, Terms
from shared.domain.clock import Clock
from shared.domain.tenants import DEFAULT_SCOPES, Principal, Scope, hash_key

PREFIX: Final = "fb-"
"""What every key of ours begins with."""

SECRET_BYTES: Final = 32
HINT_CHARACTERS: Final = 4
"""Characters of the secret that are kept, so that people can tell their keys apart; the other 39 are 234 bits."""

REMEMBERED_S: Final = 0.5
"""Seconds for which a process remembers who holds a key, so that a revoked one is refused within a second."""

MOST_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key; never the key itself.

    id: ``key_`` and 26 sortable characters. hint: how the key begins. name: for people.
    created_at, revoked_at: seconds since the epoch; None: it was not revoked.
    """

    id: str
    team: str
    hint: str
    created_at: float
    name: str = ""
    scopes: tuple[Scope, ...] = DEFAULT_SCOPES
    terms: Terms = NO_TERMS
    revoked_at: float | None = None

    @property
    def principal(self) -> Principal | None:
        """Who may act with it; nobody, once it is revoked."""
        if self.revoked_at is not None:
            return None
        return Principal(self.team, frozenset(self.scopes), self.id, self.terms)


@dataclass(frozen=True, slots=True)
class ApiKeyPage:
    """Some keys, newest first. ``next_after``: pass it as ``after`` for the next page; None: there is none."""

    keys: tuple[ApiKey, ...]
    next_after: str | None


class ApiKeys(Protocol):
    """The port to the records of the keys. All of it raises ``StoreUnavailable``."""

    async def add(self, key: ApiKey, key_hash: str) -> None:
        """Keep a new key, known from now on by its hash."""
        ...

    async def revoke(self, key_id: str, now: float) -> ApiKey | None:
        """Let a key open nothing any more; one that was revoked before stays as it is. None: there is none by that id."""
        ...

    async def page(self, team: str | None, after: str | None, limit: int) -> ApiKeyPage:
        """Give keys older than ``after``, newest first, at most ``limit``; ``team`` None: of all teams."""
        ...

    async def by_hash(self, key_hash: str) -> ApiKey | None:
        """Give the key with that hash, revoked or not."""
        ...


def new_key(random_text: Callable[[int], str] = secrets.token_urlsafe) -> str:
    """Make a key: ``fb-`` and 43 random characters."""
    return f"{PREFIX}{random_text(SECRET_BYTES)}"


def hint_of(key: str) -> str:
    """Give how a key begins."""
    return f"{key[: len(PREFIX) + HINT_CHARACTERS]}…"


class StoredKeyring:
    """The keyring of the keys that were given out. Requests at the same time share one look into the store."""

    def __init__(self, keys: ApiKeys, clock: Clock) -> None:
        """``clock`` tells how long something is remembered; the store's may differ."""
        self._keys = keys
        self._clock = clock
        self._looks: dict[str, tuple[float, asyncio.Task[ApiKey | None]]] = {}

    async def principal(self, key: str) -> Principal | None:
        """Give who holds the key.

        Raises:
            StoreUnavailable: nobody can tell.
        """
        if not key.startswith(PREFIX):
            return None
        key_hash = hash_key(key)
        found = await asyncio.shield(self._look(key_hash))
        return None if found is None else found.principal

    def _look(self, key_hash: str) -> asyncio.Task[ApiKey | None]:
        now = self._clock.monotonic()
        began_at, look = self._looks.get(key_hash, (now - REMEMBERED_S, None))
        if look is not None and now - began_at < REMEMBERED_S and not _failed(look):
            return look
        if len(self._looks) >= MOST_REMEMBERED:
            self._looks.clear()
        look = asyncio.ensure_future(self._keys.by_hash(key_hash))
        look.add_done_callback(_failed)  # a failure that nobody waits for any more is no news
        self._looks[key_hash] = (now, look)
        return look


def _failed(look: asyncio.Task[ApiKey | None]) -> bool:
    return look.done() and (look.cancelled() or look.exception() is not None)
