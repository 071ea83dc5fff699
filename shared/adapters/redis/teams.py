"""What is to be done for every team: one script for each, many of them in a round trip."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from shared.adapters.redis import scripts
from shared.adapters.redis.keys import TEAMS
from shared.adapters.redis.round_trips import RoundTrips, ScriptCall

TEAMS_AT_ONCE: Final = 200
"""Teams that travel in one round trip."""

FORGOTTEN_AT_ONCE: Final = 200
"""What one script takes out of a listing, so that it stays short."""

Call = Callable[[str], ScriptCall]
Listing = Callable[[str], tuple[str, str]]
"""Gives the keys of a team's listing, and of what in it expires."""

BoundedCall = Callable[[str, int], ScriptCall]
"""Gives a script that looks for something of a team, and gives at most so many."""


class Teams:
    """All teams that ever had a job, or an endpoint for webhooks."""

    def __init__(self, server: RoundTrips) -> None:
        """``server``: where their jobs are."""
        self._server = server

    async def names(self) -> list[str]:
        """Give them in the order of their names."""
        return sorted(member.decode() for member in await self._server.send(("SMEMBERS", TEAMS)))

    async def of_each(self, teams: Sequence[str], call: Call) -> list[Any]:
        """Run a script for each of these teams; give the replies in their order."""
        replies: list[Any] = []
        for start in range(0, len(teams), TEAMS_AT_ONCE):
            replies += await self._server.run_all([call(team) for team in teams[start : start + TEAMS_AT_ONCE]])
        return replies

    async def with_any(self, looking: BoundedCall) -> list[str]:
        """Give the teams of which something is found."""
        teams = await self.names()
        found = await self.of_each(teams, lambda team: looking(team, 1))
        return [team for team, some in zip(teams, found, strict=True) if some]

    async def some_of_each(self, looking: BoundedCall, limit: int) -> list[tuple[str, Any]]:
        """Give each team of which something is found, with some of that: all teams as many, at most ``limit`` together."""
        teams = (await self.with_any(looking))[:limit]
        found = await self.of_each(teams, lambda team: looking(team, limit // len(teams)))
        return [(team, some) for team, some in zip(teams, found, strict=True) if some]

    async def forget(self, listing: Listing, most: int) -> int:
        """Take what is kept no more out of every team's listing, until ``most`` are out; give how many those were."""

        def forgetting(team: str) -> ScriptCall:
            return ScriptCall(scripts.FORGET_JOBS, listing(team), (FORGOTTEN_AT_ONCE,))

        forgotten, teams = 0, await self.names()
        while teams and forgotten < most:
            taken = await self.of_each(teams, forgetting)
            forgotten += sum(taken)
            teams = [team for team, count in zip(teams, taken, strict=True) if count == FORGOTTEN_AT_ONCE]
        return forgotten
