"""The providers' limits, where all workers meet."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from shared.adapters.redis.connection import Client
from shared.adapters.redis.keys import limit_keys
from shared.adapters.redis.round_trips import Argument, RoundTrips, ScriptCall
from shared.adapters.redis.scripts import LOOK_AT_CAPACITY, REFUSE_CAPACITY, RESERVE_CAPACITY, SETTLE_CAPACITY, Script
from shared.domain.rate_limit import RESERVATION_S, Cost, LimitState, Rates, Reservation, Sighting, Wait, Wish
from shared.domain.routing import Deployment

Moment = Callable[[], Argument]
"""Gives the moment of a step (seconds since the epoch), or an empty string for the server's own clock."""


class RedisRateLimits:
    """Implements ``RateLimits``. All deployments of a lane share a slot of a cluster."""

    def __init__(self, client: Client, moment: Moment = lambda: "") -> None:
        """``moment``: other than the server's own clock only where a test moves the time."""
        self._server = RoundTrips(client)
        self._moment = moment

    async def reserve(self, lane: str, candidates: tuple[Deployment, ...], wish: Wish) -> Reservation | Wait:
        """Reserve on the first of the candidates that has capacity now."""
        keys = [key for candidate in candidates for key in limit_keys(lane, candidate.id)]
        forgotten_in = RESERVATION_S + max(candidate.timeout_s for candidate in candidates)
        arguments: list[Argument] = [self._moment(), wish.name, *wish.cost.amounts, wish.kept, forgotten_in]
        for candidate in candidates:
            rates = Rates.of(candidate.limits)
            arguments += [*_texts(rates.per_second), "" if rates.parallel is None else rates.parallel]
        chosen, wait = await self._server.run(ScriptCall(RESERVE_CAPACITY, keys, arguments))
        if chosen:
            return Reservation(wish.name, lane, candidates[chosen - 1], wish.cost)
        return Wait(float(wait))

    async def settle(self, reservation: Reservation, actual: Cost, seen: Sighting) -> None:
        """Note what the call really took and what the provider said of its count."""
        unused = [before - after for before, after in zip(reservation.cost.amounts, actual.amounts, strict=True)]
        await self._step(
            SETTLE_CAPACITY,
            reservation,
            *unused,
            *_rates(reservation),
            *_texts(seen.per_second),
            *_texts(seen.remaining),
        )

    async def refuse(self, reservation: Reservation, retry_after_s: float) -> None:
        """Note that the provider refused the call (429)."""
        await self._step(REFUSE_CAPACITY, reservation, retry_after_s, *_rates(reservation))

    async def look(self, lane: str, deployments: tuple[Deployment, ...]) -> tuple[LimitState, ...]:
        """Give what is known of each deployment now."""
        keys = [key for deployment in deployments for key in limit_keys(lane, deployment.id)]
        now, *found = await self._server.run(ScriptCall(LOOK_AT_CAPACITY, keys, [self._moment()]))
        states = zip(deployments, found[::2], found[1::2], strict=True)
        return tuple(_state(Rates.of(each.limits), float(now), fields, held) for each, fields, held in states)

    async def _step(self, script: Script, reservation: Reservation, *arguments: Argument) -> None:
        keys = limit_keys(reservation.lane, reservation.deployment.id)
        await self._server.run(ScriptCall(script, keys, [self._moment(), reservation.name, *arguments]))


def _state(rates: Rates, now: float, fields: Sequence[bytes], held: Sequence[bytes]) -> LimitState:
    """Read a state as the scripts keep it, and bring it to the moment ``now``."""
    found = {name.decode(): float(value) for name, value in zip(fields[::2], fields[1::2], strict=True)}
    missing = LimitState.missing(rates, now)
    state = replace(
        missing,
        at=found.get("at", missing.at),
        share=found.get("share", missing.share),
        levels=(found.get("level1", 0.0), found.get("level2", 0.0)),
        cut_at=found.get("cut_at", 0.0),
        cut_share=found.get("cut_share", 0.0),
        granted=int(found.get("granted", 0)),
        refusals=int(found.get("refusals", 0)),
        closed_until=found.get("closed_until", 0.0),
        is_wanted=bool(found.get("wanted", 0)),
        held={name.decode(): float(end) for name, end in zip(held[::2], held[1::2], strict=True)},
    )
    return state.advanced(rates, now)


def _rates(reservation: Reservation) -> list[Argument]:
    return _texts(Rates.of(reservation.deployment.limits).per_second)


def _texts(amounts: tuple[float | None, ...]) -> list[Argument]:
    return ["" if amount is None else amount for amount in amounts]
