"""The last change of each deployment: a hash for all of them. What a team was told of one: a hash each, with its team."""

from collections.abc import Sequence

import orjson

from shared.adapters.redis import scripts
from shared.adapters.redis.connection import Client
from shared.adapters.redis.keys import PROVIDER_CHANGES, of_team
from shared.adapters.redis.outbox import notices_from
from shared.adapters.redis.round_trips import Argument, RoundTrips, ScriptCall
from shared.adapters.redis.teams import Teams
from shared.adapters.redis.webhook_secrets import text_of
from shared.domain.notices import Notice
from shared.domain.provider_changes import ProviderChange, ProviderStatus, never_down


class RedisProviderChanges:
    """Implements ``ProviderChanges``."""

    def __init__(self, client: Client) -> None:
        """``client``: as ``connection.connect`` gives it."""
        self._server = RoundTrips(client)
        self._teams = Teams(self._server)

    async def last(self) -> Sequence[ProviderChange]:
        """Give the last change of each deployment."""
        found = text_of(await self._server.send(("HGETALL", PROVIDER_CHANGES)))
        return [_change_from(deployment, words) for deployment, words in found.items()]

    async def note(self, before: ProviderChange, after: ProviderChange) -> bool:
        """Put a change in the place of the one before."""
        place = orjson.dumps((after.lane, after.deployment))
        is_first = before == never_down(before.lane, before.deployment)
        arguments: list[Argument] = [place, "" if is_first else _words(before), _words(after)]
        return bool(await self._server.run(ScriptCall(scripts.NOTE_PROVIDER_CHANGE, [PROVIDER_CHANGES], arguments)))

    async def tell(self, change: ProviderChange) -> Sequence[Notice]:
        """Put a change into the teams' outboxes."""
        fields = ("lane", change.lane, "deployment", change.deployment)
        moment = ("status", change.status.value, "since", repr(change.since))

        def telling(team: str) -> ScriptCall:
            keys = of_team(team)
            names = [keys.provider_change(change.id), keys.events, keys.outbox]
            return ScriptCall(scripts.TELL_PROVIDER_CHANGE, names, (change.id, *fields, *moment))

        teams = await self._teams.names()
        told = await self._teams.of_each(teams, telling)
        return [notice for team, members in zip(teams, told, strict=True) for notice in notices_from(team, members)]

    async def told(self, team: str, change_id: str) -> tuple[ProviderChange, int] | None:
        """Give a change that a team is told, and its sequence number."""
        found = text_of(await self._server.send(("HGETALL", of_team(team).provider_change(change_id))))
        if not found:
            return None
        status, since = ProviderStatus(found["status"]), float(found["since"])
        return ProviderChange(found["lane"], found["deployment"], status, since), int(found["sequence"])


def _words(change: ProviderChange) -> str:
    return f"{change.status.value} {change.since!r} {'told' if change.is_told else 'noted'}"


def _change_from(place: str, words: str) -> ProviderChange:
    lane, deployment = orjson.loads(place)
    status, since, step = words.split()
    return ProviderChange(lane, deployment, ProviderStatus(status), float(since), step == "told")
