"""Jobs that arrive one by one at the same time go in together: they share the round trips of one admission."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Generic, TypeVar

Arrived = TypeVar("Arrived")
Result = TypeVar("Result")

MOST_TOGETHER: Final = 64

LONGEST_WAIT_S: Final = 0.01
"""Seconds that one waits for a group under way to come back. Without one under way nobody waits."""


class Gathering(Generic[Arrived, Result]):
    """Gathers what arrives for the same team into groups."""

    def __init__(self, admit_all: Callable[[str, Sequence[Arrived]], Awaitable[Sequence[Result]]]) -> None:
        """``admit_all`` takes a team's group in and gives a result for each, in order."""
        self._admit_all = admit_all
        self._waiting: dict[str, list[tuple[Arrived, asyncio.Future[Result]]]] = {}
        self._under_way: dict[asyncio.Future[Sequence[Result]], str] = {}

    async def admit(self, team: str, arrived: Arrived) -> Result:
        """Go in with the next group; raises what the admission of the whole group raised."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Result] = loop.create_future()
        group = self._waiting.setdefault(team, [])
        group.append((arrived, result))
        if team not in self._under_way.values() or len(group) == MOST_TOGETHER:
            self._depart(team)
        elif len(group) == 1:
            loop.call_later(LONGEST_WAIT_S, self._depart, team)
        return await result

    def _depart(self, team: str) -> None:
        group = self._waiting.pop(team, None)
        if group:
            arrived, waiting = zip(*group, strict=True)
            admission = asyncio.ensure_future(self._admit_all(team, arrived))
            self._under_way[admission] = team
            admission.add_done_callback(partial(self._come_back, team, waiting))

    def _come_back(
        self, team: str, waiting: Sequence[asyncio.Future[Result]], admission: asyncio.Future[Sequence[Result]]
    ) -> None:
        del self._under_way[admission]
        self._depart(team)
        if admission.cancelled():
            for result in waiting:
                result.cancel()
            return
        error = admission.exception()
        for index, result in enumerate(waiting):
            if result.done():
                continue  # its client is gone
            if error is None:
                result.set_result(admission.result()[index])
            else:
                result.set_exception(error)
