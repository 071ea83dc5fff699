"""What all schedulers share, in Redis: the leader's lease, the timetable, and each duty's runs. All in one slot."""

import secrets
from collections.abc import Sequence
from typing import Any, Final

import orjson

from shared.adapters.redis import scripts
from shared.adapters.redis.connection import Client
from shared.adapters.redis.keys import LEADER, TIMETABLE, firings_of, runs_of
from shared.adapters.redis.round_trips import RoundTrips, ScriptCall
from shared.domain.schedule import (
    LAST_RUNS_KEPT,
    RUNS_KEPT,
    Beginning,
    Firing,
    Leader,
    PlannedDuty,
    Result,
    Run,
    ScheduleSight,
)

FIRINGS_KEPT_S: Final = 2 * 3600
"""Seconds for which a firing is known to have been begun: well beyond the time by which one may be late."""

EARLY_MS: Final = 10_000
"""Milliseconds by which a firing may be before its time: beyond what clocks differ by that are taken for right."""


class RedisSchedule:
    """Implements ``Schedule``."""

    def __init__(self, client: Client) -> None:
        """``client``: as ``connection.connect`` gives it."""
        self._server = RoundTrips(client)

    async def lead(self, name: str, lease_s: float) -> int | None:
        """Take or renew the lease."""
        return int(await self._server.run(ScriptCall(scripts.LEAD, [LEADER], (name, lease_s)))) or None

    async def now(self) -> float:
        """Give the store's time."""
        now, _, _ = await self._server.run(ScriptCall(scripts.LOOK_AT_SCHEDULE, [LEADER, TIMETABLE], ()))
        return float(now)

    async def resign(self, name: str) -> None:
        """Give the lease back."""
        await self._server.run(ScriptCall(scripts.RESIGN, [LEADER], (name,)))

    async def publish(self, name: str, term: int, duties: Sequence[PlannedDuty]) -> bool:
        """Let others see the timetable."""
        planned = [part for duty in duties for part in (duty.name, _plan(duty.times, duty.next_at))]
        call = ScriptCall(scripts.PUBLISH_TIMETABLE, [LEADER, TIMETABLE], (name, term, *planned))
        return bool(await self._server.run(call))

    async def begin(self, name: str, term: int, firing: Firing) -> Beginning:
        """Begin a firing."""
        keys = [LEADER, TIMETABLE, firings_of(firing.duty), runs_of(firing.duty)]
        arguments = (
            *(name, term, firing.duty, _plan(firing.times, firing.next_at) if firing.times else b""),
            *(_milliseconds(firing.fires_at), secrets.token_hex(12), RUNS_KEPT, LAST_RUNS_KEPT, FIRINGS_KEPT_S * 1000),
            EARLY_MS,
        )
        return Beginning((await self._server.run(ScriptCall(scripts.BEGIN_FIRING, keys, arguments))).decode())

    async def end(self, term: int, firing: Firing, result: Result) -> None:
        """Note how a firing ended."""
        arguments = (_milliseconds(firing.fires_at), term, orjson.dumps(result))
        await self._server.run(ScriptCall(scripts.END_FIRING, [runs_of(firing.duty)], arguments))

    async def look(self) -> ScheduleSight:
        """Give who leads, and each duty with its next and its last runs; what is shown is of several moments."""
        now, leader, timetable = await self._server.run(ScriptCall(scripts.LOOK_AT_SCHEDULE, [LEADER, TIMETABLE], ()))
        plans = _fields(timetable)
        names = sorted(plans)
        runs = await self._server.send_all([("HGETALL", runs_of(name)) for name in names]) if names else []
        return ScheduleSight(
            leader=_leader(_fields(leader), float(now)),
            duties=[
                (PlannedDuty(name, **orjson.loads(plans[name])), _runs(_fields(found)))
                for name, found in zip(names, runs, strict=True)
            ],
        )


def _plan(times: str, next_at: float | None) -> bytes:
    return orjson.dumps({"times": times, "next_at": next_at})


def _milliseconds(moment: float) -> int:
    return round(moment * 1000)


def _fields(reply: Any) -> dict[str, str]:  # noqa: ANN401 - a mapping from a server, a list from a pipeline of a cluster
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {name.decode(): value.decode() for name, value in pairs}


def _leader(found: dict[str, str], now: float) -> Leader | None:
    if not found:
        return None
    until = float(found["until"])
    return Leader(found["name"], int(found["term"]), float(found["since"]), until, until > now)


def _runs(found: dict[str, str]) -> list[Run]:
    return [_run(int(fires_at), orjson.loads(run)) for fires_at, run in sorted(found.items(), key=_newest_first)]


def _newest_first(item: tuple[str, str]) -> int:
    return -int(item[0])


def _run(fires_at_ms: int, found: dict[str, Any]) -> Run:
    ended_at = found.get("ended_at")
    return Run(
        fires_at=fires_at_ms / 1000,
        began_at=float(found["began_at"]),
        by=found["by"],
        term=int(found["term"]),
        ended_at=None if ended_at is None else float(ended_at),
        **({} if ended_at is None else orjson.loads(found["result"])),
    )
