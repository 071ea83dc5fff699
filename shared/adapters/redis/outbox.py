"""The notices that are not published yet: a sorted set a team, which the scripts that end jobs fill."""

from collections.abc import Sequence

from shared.adapters.redis import scripts
from shared.adapters.redis.connection import Client
from shared.adapters.redis.keys import of_team
from shared.adapters.redis.round_trips import RoundTrips, ScriptCall
from shared.adapters.redis.teams import Teams
from shared.domain.lanes import Mailbox
from shared.domain.notices import Notice


class RedisOutbox:
    """Implements ``Outbox``."""

    def __init__(self, client: Client) -> None:
        """``client``: as ``connection.connect`` gives it."""
        self._server = RoundTrips(client)
        self._teams = Teams(self._server)

    async def pending(self, team: str, subjects: Sequence[str]) -> list[Notice]:
        """Give the notices of these subjects that are not published."""
        possible = [Notice(team, mailbox, subject) for subject in subjects for mailbox in Mailbox]
        if not possible:
            return []
        scores = await self._server.send(("ZMSCORE", of_team(team).outbox, *map(_member, possible)))
        return [notice for notice, score in zip(possible, scores, strict=True) if score is not None]

    async def overdue(self, older_than_s: float, limit: int) -> list[Notice]:
        """Give notices that have been waiting for long, of each team as many."""

        def looking(team: str, most: int) -> ScriptCall:
            return ScriptCall(scripts.OVERDUE_NOTICES, [of_team(team).outbox], (older_than_s, most))

        found = await self._teams.some_of_each(looking, limit)
        return [notice for team, members in found for notice in notices_from(team, members)]

    async def remove(self, notices: Sequence[Notice]) -> None:
        """Note that they were published."""
        by_team: dict[str, list[str]] = {}
        for notice in notices:
            by_team.setdefault(notice.team, []).append(_member(notice))
        for team, members in by_team.items():
            await self._server.send(("ZREM", of_team(team).outbox, *members))


def notices_from(team: str, members: Sequence[bytes]) -> list[Notice]:
    """Read what a script gave of a team's outbox."""
    parts = [member.decode().partition(" ") for member in members]
    return [Notice(team, Mailbox(mailbox), subject) for mailbox, _, subject in parts]


def _member(notice: Notice) -> str:
    return f"{notice.mailbox.value} {notice.subject}"
