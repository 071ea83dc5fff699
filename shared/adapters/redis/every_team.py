"""Asks about every team at once: many teams travel in one round trip."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from shared.adapters.redis.keys import TEAMS
from shared.adapters.redis.round_trips import RoundTrips, ScriptCall

TEAMS_AT_ONCE: Final = 200
"""Teams that travel in one round trip."""


class EveryTeam:
    """Every team that ever submitted a job."""

    def __init__(self, server: RoundTrips) -> None:
        """``server``: where they are known."""
        self._server = server

    async def names(self) -> list[str]:
        """Give them in order."""
        return sorted(member.decode() for member in await self._server.send(("SMEMBERS", TEAMS)))

    async def run(self, teams: Sequence[str], call: Callable[[str], ScriptCall]) -> list[Any]:
        """Run a script for each of ``teams``; give the replies in their order."""
        replies: list[Any] = []
        for start in range(0, len(teams), TEAMS_AT_ONCE):
            replies += await self._server.run_all([call(team) for team in teams[start : start + TEAMS_AT_ONCE]])
        return replies
