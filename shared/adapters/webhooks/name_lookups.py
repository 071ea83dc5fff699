"""Looks names up on threads, so that names whose servers never answer take no turn from the others for long.

A lookup cannot be broken off: it keeps its thread until the system gives it up, long after nobody waits for it. So a name
has one thread at most, the names under one registered domain have a few, and all of them many times that.
"""

import asyncio
import socket
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Thread
from typing import Any, Final, Protocol

AddrInfo = tuple[Any, Any, int, str, tuple[Any, ...]]
"""Family, type, protocol, canonical name, and address: as ``socket.getaddrinfo`` gives it."""

DEADLINE_S: Final = 4.0
"""Seconds within which a name must be answered."""

LONGEST_WAIT_S: Final = 2.0
"""Seconds that a name waits for its turn."""

TURNS_OF_A_DOMAIN: Final = 8
TURNS: Final = 256

_WIDE: Final = frozenset({"ac", "co", "com", "edu", "go", "gov", "ne", "net", "or", "org"})
"""What stands before a country, and under which anybody can register (``co.uk``)."""
_COUNTRY: Final = 2


class Lookup(Protocol):
    """Looks a name up, on a thread; as ``socket.getaddrinfo``."""

    def __call__(self, host: str, port: int, *, type: int) -> list[Any]:  # noqa: A002 - the socket module's word
        """Give the addresses, each as an ``AddrInfo``. Raises ``OSError``."""
        ...


class NotAnswered(OSError):
    """Those who answer for the name do not answer in time."""


class NoTurn(OSError):
    """Too many names are being looked up here; that says nothing of this one."""


@dataclass(eq=False, slots=True)
class _Search:
    """One name, for all who want it now. ``late_at``: when it has taken too long, by the loop's time; None: not begun."""

    host: str
    port: int
    domain: str
    found: "asyncio.Future[list[AddrInfo]]"
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    late_at: float | None = None
    wanted_by: int = 0


class NameLookups:
    """Gives turns to names. It keeps no answer: who comes after the end of a lookup begins another one."""

    def __init__(self, lookup: Lookup, deadline_s: float = DEADLINE_S, longest_wait_s: float = LONGEST_WAIT_S) -> None:
        """``lookup`` is called on a thread."""
        self._lookup = lookup
        self._deadline_s = deadline_s
        self._longest_wait_s = longest_wait_s
        self._searches: dict[str, _Search] = {}
        self._waiting: dict[str, _Search] = {}
        self._taken: Counter[str] = Counter()

    async def addresses(self, host: str, port: int) -> list[AddrInfo]:
        """Give the addresses of a name; the port in them may be another one, and is not to be used.

        Raises:
            NotAnswered: it took too long, or an earlier lookup of it did, and has not ended.
            NoTurn: it was not looked up.
            OSError: it has none.
        """
        name = host.lower().rstrip(".")
        search = self._searches.get(name)
        if search is None:
            found = asyncio.get_running_loop().create_future()
            search = self._searches[name] = self._waiting[name] = _Search(host, port, _domain(name), found)
        search.wanted_by += 1
        try:
            self._begin_some()
            return await self._wait(search)
        finally:
            search.wanted_by -= 1
            if not search.wanted_by and self._waiting.get(name) is search:
                del self._waiting[name], self._searches[name]

    async def _wait(self, search: _Search) -> list[AddrInfo]:
        if search.late_at is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._longest_wait_s):
                    await search.begun.wait()
        if search.late_at is None:
            raise NoTurn
        left_s = search.late_at - asyncio.get_running_loop().time()
        if left_s > 0:
            await asyncio.wait([search.found], timeout=left_s)
        if not search.found.done():
            raise NotAnswered
        return search.found.result()

    def _begin_some(self) -> None:
        """Begin what has a turn, in the order in which it was wanted."""
        loop = asyncio.get_running_loop()
        for name, search in list(self._waiting.items()):
            if self._taken.total() >= TURNS:
                return
            if self._taken[search.domain] < TURNS_OF_A_DOMAIN:
                # A daemon: a name that is never answered does not keep the process from ending.
                Thread(target=self._look, args=(search, loop), name="webhook-name", daemon=True).start()
                del self._waiting[name]
                self._taken[search.domain] += 1
                search.late_at = loop.time() + self._deadline_s
                search.begun.set()

    def _look(self, search: _Search, loop: asyncio.AbstractEventLoop) -> None:
        """Run on a thread."""
        found: list[AddrInfo] | Exception
        try:
            found = self._lookup(search.host, search.port, type=socket.SOCK_STREAM)
        except Exception as error:  # noqa: BLE001 - raised where the name is wanted
            found = error
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(self._end, search, found)

    def _end(self, search: _Search, found: list[AddrInfo] | Exception) -> None:
        del self._searches[search.host.lower().rstrip(".")]
        self._taken[search.domain] -= 1
        if not self._taken[search.domain]:
            del self._taken[search.domain]
        if isinstance(found, Exception):
            search.found.set_exception(found)
            search.found.exception()  # it may be that nobody waits any more
        else:
            search.found.set_result(found)
        self._begin_some()


def _domain(name: str) -> str:
    """Give the part of a name that somebody has registered, as far as can be told without a list of them."""
    labels = name.split(".")
    is_wide = len(labels) > _COUNTRY and len(labels[-1]) == _COUNTRY and labels[-2] in _WIDE
    return ".".join(labels[-3:] if is_wide else labels[-2:])
