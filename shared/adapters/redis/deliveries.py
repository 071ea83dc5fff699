"""The webhook deliveries: a hash each, with a line of JSON for each attempt, and sorted sets to find them by."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final

import orjson
from pydantic import TypeAdapter

from shared.adapters.redis import scripts
from shared.adapters.redis.connection import Client
from shared.adapters.redis.keys import of_team
from shared.adapters.redis.round_trips import Argument, RoundTrips, ScriptCall
from shared.adapters.redis.teams import Teams
from shared.adapters.redis.webhook_secrets import text_of
from shared.domain.errors import AttemptComes
from shared.domain.webhook_deliveries import (
    KEPT_S,
    LOST_AFTER_S,
    MOST_ATTEMPTS,
    SOON_S,
    AttemptClaim,
    AttemptDue,
    Delivery,
    DeliveryAttempt,
    DeliveryFilter,
    DeliveryPage,
    Turn,
)
from shared.domain.webhook_schedule import DeliveryStatus, Ruling
from shared.domain.webhooks import WebhookEvent

MOST_LOOKED_AT: Final = 5_000
"""Records that one page looks at; then it gives what it has, and where to go on."""

_AT_ONCE: Final = 500

MOST_OF_A_TEAM: Final = 50
"""Overdue deliveries of one team that one call gives, so that the others have theirs."""

_EVENT: Final = TypeAdapter(WebhookEvent)


class RedisDeliveries:
    """Implements ``Deliveries``."""

    def __init__(self, client: Client, kept_s: float = KEPT_S) -> None:
        """``kept_s``: seconds that a delivery is kept after its last change."""
        self._server = RoundTrips(client)
        self._teams = Teams(self._server)
        self._kept_ms = int(kept_s * 1000)

    async def begin(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Record deliveries, each atomically."""
        if not deliveries:
            return []
        replies = await self._server.run_all([self._beginning_of(delivery) for delivery in deliveries])
        return [found for reply in replies if (found := _delivery_from(reply))]

    async def begin_anew(self, team: str, delivery_id: str, now: float) -> Delivery | None:
        """Let a delivery have a new first attempt, unless one comes soon."""
        delivery = await self.get(team, delivery_id)
        if delivery is None:
            return None
        names = self._changed(team, delivery_id, delivery.event.subject)
        call = ScriptCall(
            scripts.BEGIN_DELIVERY_ANEW, names, [delivery_id, repr(now), self._kept_ms, SOON_S, LOST_AFTER_S]
        )
        is_begun, record = await self._server.run(call)
        found = _delivery_from(record)
        if found is not None and not is_begun:
            raise AttemptComes
        return found

    async def claim(self, due: AttemptDue, now: float, lease_s: float) -> AttemptClaim:
        """Ask to make an attempt."""
        names = [of_team(due.team).delivery(due.delivery_id)]
        call = ScriptCall(scripts.CLAIM_DELIVERY, names, [due.number, repr(now), lease_s])
        turn, record = await self._server.run(call)
        return AttemptClaim(Turn(turn.decode()), _delivery_from(record))

    async def let_go(self, due: AttemptDue) -> None:
        """Give an attempt back that was not made."""
        await self._server.send(("HDEL", of_team(due.team).delivery(due.delivery_id), "held_until"))

    async def note(self, delivery: Delivery, attempt: DeliveryAttempt, ruling: Ruling) -> bool:
        """Note how an attempt ended."""
        next_at = "" if ruling.next_attempt_at is None else repr(ruling.next_attempt_at)
        line, number = orjson.dumps(attempt), delivery.made + 1
        arguments: list[Argument] = [delivery.id, number, line, ruling.status.value, next_at]
        arguments += [self._kept_ms, MOST_ATTEMPTS]
        names = self._changed(delivery.event.team, delivery.id, delivery.event.subject)
        return bool(await self._server.run(ScriptCall(scripts.NOTE_DELIVERY, names, arguments)))

    async def note_queued(self, due: AttemptDue) -> None:
        """Note that the message of an attempt was confirmed."""
        keys = of_team(due.team)
        names = [keys.delivery(due.delivery_id), keys.unpublished_deliveries]
        await self._server.run(ScriptCall(scripts.NOTE_QUEUED_DELIVERY, names, [due.number, due.delivery_id]))

    async def get(self, team: str, delivery_id: str) -> Delivery | None:
        """Give a delivery."""
        return _delivery_from(await self._server.send(("HGETALL", of_team(team).delivery(delivery_id))))

    async def page(self, team: str, wanted: DeliveryFilter, after: str | None, limit: int) -> DeliveryPage:
        """Give deliveries that match; a call looks at a bounded number of records."""
        found: list[Delivery] = []
        looked_at = 0
        while looked_at < MOST_LOOKED_AT:
            # One more than is wanted tells whether there is a next page.
            count = min(_AT_ONCE, limit + 1 - len(found)) if wanted == DeliveryFilter() else _AT_ONCE
            ids = await self._ids(team, wanted.subject, after, count)
            looked_at += len(ids)
            found += [delivery for delivery in await self._read(team, ids) if wanted.matches(delivery)]
            if len(found) > limit:
                return DeliveryPage(tuple(found[:limit]), next_after=found[limit - 1].id)
            if len(ids) < count:
                return DeliveryPage(tuple(found), next_after=None)
            after = ids[-1]
        return DeliveryPage(tuple(found), next_after=after)

    async def overdue(self, before: float, most: int) -> list[Delivery]:
        """Give deliveries whose next message nobody has published."""
        teams = await self._teams.names()
        limit = min(most, MOST_OF_A_TEAM)
        found = await self._teams.of_each(teams, lambda team: self._looking(team, before, limit))
        overdue: list[Delivery] = []
        for team, ids in zip(teams, found, strict=True):
            if ids and len(overdue) < most:
                overdue += await self._unpublished(team, [raw.decode() for raw in ids[: most - len(overdue)]])
        return overdue

    async def forget(self, most: int) -> int:
        """Take deliveries that are kept no more out of the listings."""
        return await self._teams.forget(
            lambda team: (of_team(team).deliveries, of_team(team).expiring_deliveries), most
        )

    def _looking(self, team: str, before: float, limit: int) -> ScriptCall:
        return ScriptCall(scripts.OVERDUE_DELIVERIES, [of_team(team).unpublished_deliveries], [repr(before), limit])

    async def _unpublished(self, team: str, ids: Sequence[str]) -> list[Delivery]:
        """Read those of them whose message is still missing; what is kept no more leaves the index."""
        found = await self._read(team, ids)
        gone = set(ids).difference(delivery.id for delivery in found)
        if gone:
            await self._server.send(("ZREM", of_team(team).unpublished_deliveries, *gone))
        return [delivery for delivery in found if delivery.is_unpublished]

    def _beginning_of(self, delivery: Delivery) -> ScriptCall:
        event, keys = delivery.event, of_team(delivery.event.team)
        names = [
            keys.delivery(delivery.id),
            keys.deliveries,
            keys.expiring_deliveries,
            keys.deliveries_of(event.subject),
            keys.unpublished_deliveries,
        ]
        fields: dict[str, Argument] = {
            "id": delivery.id,
            "event": orjson.dumps(asdict(event)),
            "subject": event.subject,
            "url": delivery.url,
            "endpoint_id": delivery.endpoint_id or "",
            "began_at": repr(delivery.began_at),
            "status": delivery.status.value,
            "made": 0,
            "made_before": 0,
            "queued": 0,
            "next_attempt_at": repr(delivery.began_at),
        }
        arguments = [part for field in fields.items() for part in field]
        return ScriptCall(
            scripts.BEGIN_DELIVERY, names, [delivery.id, self._kept_ms, repr(delivery.began_at), *arguments]
        )

    def _changed(self, team: str, delivery_id: str, subject: str) -> list[str]:
        keys = of_team(team)
        return [
            keys.delivery(delivery_id),
            keys.expiring_deliveries,
            keys.deliveries_of(subject),
            keys.unpublished_deliveries,
        ]

    async def _ids(self, team: str, subject: str | None, after: str | None, count: int) -> list[str]:
        keys = of_team(team)
        index = keys.deliveries if subject is None else keys.deliveries_of(subject)
        end = "+" if after is None else f"({after}"
        call = ScriptCall(scripts.PAGE_OF_IDS, [index, keys.expiring_deliveries, keys.deliveries], [end, count])
        return [raw.decode() for raw in await self._server.run(call)]

    async def _read(self, team: str, ids: Sequence[str]) -> list[Delivery]:
        if not ids:
            return []
        keys = of_team(team)
        records = await self._server.send_all([("HGETALL", keys.delivery(delivery_id)) for delivery_id in ids])
        return [delivery for record in records if (delivery := _delivery_from(record))]


def _delivery_from(record: Mapping[bytes, bytes] | Sequence[bytes]) -> Delivery | None:
    if not record:
        return None
    fields = text_of(record)
    next_at = fields.get("next_attempt_at")
    return Delivery(
        id=fields["id"],
        event=_EVENT.validate_json(fields["event"]),
        url=fields["url"],
        endpoint_id=fields["endpoint_id"] or None,
        began_at=float(fields["began_at"]),
        status=DeliveryStatus(fields["status"]),
        attempts=tuple(
            DeliveryAttempt(**orjson.loads(line)) for line in fields.get("attempts", "").split("\n") if line
        ),
        made=int(fields["made"]),
        made_before=int(fields["made_before"]),
        queued=int(fields["queued"]),
        next_attempt_at=None if next_at is None else float(next_at),
    )
