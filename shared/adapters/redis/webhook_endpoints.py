"""The webhook endpoints: a hash each, and a sorted set a team. How many are enabled is counted in the same scripts."""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.adapters.redis import scripts
from shared.adapters.redis.connection import Client
from shared.adapters.redis.keys import TEAMS, of_team
from shared.adapters.redis.outbox import notices_from
from shared.adapters.redis.round_trips import Argument, RoundTrips, ScriptCall
from shared.adapters.redis.webhook_secrets import rotation, secret_from, text_of
from shared.domain.notices import Notice
from shared.domain.webhook_endpoints import MOST_ENDPOINTS, Endpoint, Failing
from shared.domain.webhooks import EventType


class RedisWebhookEndpoints:
    """Implements ``WebhookEndpoints``."""

    def __init__(self, client: Client) -> None:
        """``client``: as ``connection.connect`` gives it."""
        self._server = RoundTrips(client)

    async def add(self, endpoint: Endpoint) -> bool:
        """Keep a new endpoint."""
        arguments: list[Argument] = [endpoint.id, MOST_ENDPOINTS, *_fields(endpoint)]
        call = ScriptCall(scripts.ADD_WEBHOOK_ENDPOINT, _keys(endpoint.team, endpoint.id), arguments)
        [is_added] = await self._server.run_all([call], before=[("SADD", TEAMS, endpoint.team)])
        return bool(is_added)

    async def get(self, team: str, endpoint_id: str) -> Endpoint | None:
        """Give an endpoint."""
        return _endpoint_from(team, await self._server.send(("HGETALL", of_team(team).webhook_endpoint(endpoint_id))))

    async def of_team(self, team: str) -> list[Endpoint]:
        """Give all of a team's, newest first."""
        keys = of_team(team)
        ids = await self._server.send(("ZREVRANGE", keys.webhook_endpoints, 0, -1))
        if not ids:
            return []
        records = await self._server.send_all([("HGETALL", keys.webhook_endpoint(raw.decode())) for raw in ids])
        return [endpoint for record in records if (endpoint := _endpoint_from(team, record))]

    async def remove(self, team: str, endpoint_id: str) -> Endpoint | None:
        """Forget an endpoint."""
        call = ScriptCall(scripts.REMOVE_WEBHOOK_ENDPOINT, _keys(team, endpoint_id), [endpoint_id])
        return _endpoint_from(team, await self._server.run(call))

    async def rotate(self, team: str, endpoint_id: str, now: float) -> Endpoint | None:
        """Give it a new secret."""
        return _endpoint_from(team, await self._server.run(rotation(of_team(team).webhook_endpoint(endpoint_id), now)))

    async def enable(self, team: str, endpoint_id: str) -> Endpoint | None:
        """Send there again."""
        keys = of_team(team)
        names = [keys.webhook_endpoint(endpoint_id), keys.events]
        return _endpoint_from(team, await self._server.run(ScriptCall(scripts.ENABLE_WEBHOOK_ENDPOINT, names, [])))

    async def disable(self, team: str, endpoint_id: str, reason: str, now: float) -> Sequence[Notice] | None:
        """Send nothing there any more."""
        keys = of_team(team)
        names = [keys.webhook_endpoint(endpoint_id), keys.events, keys.outbox]
        call = ScriptCall(scripts.DISABLE_WEBHOOK_ENDPOINT, names, [endpoint_id, reason, repr(now)])
        is_ours, notices = await self._server.run(call)
        return notices_from(team, notices) if is_ours else None

    async def note_failing(self, team: str, endpoint_id: str, failing: Failing | None) -> None:
        """Note since when it fails."""
        names = [of_team(team).webhook_endpoint(endpoint_id)]
        moments = ["", ""] if failing is None else [repr(failing.since), repr(failing.last_at)]
        await self._server.run(ScriptCall(scripts.NOTE_FAILING_WEBHOOK_ENDPOINT, names, moments))


def _keys(team: str, endpoint_id: str) -> list[str]:
    keys = of_team(team)
    return [keys.webhook_endpoint(endpoint_id), keys.webhook_endpoints, keys.events]


def _fields(endpoint: Endpoint) -> list[str]:
    fields = {
        "id": endpoint.id,
        "url": endpoint.url,
        "events": " ".join(endpoint.events),
        "secret": endpoint.secret.current,
        "created_at": repr(endpoint.created_at),
    }
    return [part for field in fields.items() for part in field]


def _endpoint_from(team: str, record: Mapping[bytes, bytes] | Sequence[bytes]) -> Endpoint | None:
    if not record:
        return None
    fields: dict[str, Any] = text_of(record)
    return Endpoint(
        id=fields["id"],
        team=team,
        url=fields["url"],
        events=tuple(EventType(name) for name in fields["events"].split()),
        secret=secret_from(fields),
        created_at=float(fields["created_at"]),
        disabled_at=float(fields["disabled_at"]) if "disabled_at" in fields else None,
        disabled_because=fields.get("disabled_because"),
        sequence=int(fields["sequence"]) if "sequence" in fields else None,
        failing=_failing_from(fields),
    )


def _failing_from(fields: Mapping[str, str]) -> Failing | None:
    if "failing_since" not in fields:
        return None
    return Failing(float(fields["failing_since"]), float(fields["failing_last_at"]))
