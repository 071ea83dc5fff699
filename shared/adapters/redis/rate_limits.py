"""The providers' limits, where all workers meet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from shared.adapters.redis.connection import Client
from shared.adapters.redis.keys import limit_keys
from shared.adapters.redis.round_trips import Argument, RoundTrips, ScriptCall
from shared.adapters.redis.scripts import (
    LOOK_AT_CAPACITY,
    REFUSE_CAPACITY,
    RENEW_CAPACITY,
    RESERVE_CAPACITY,
    SETTLE_CAPACITY,
    Script,
)
from shared.domain.circuit import BreakerState, Circuit
from shared.domain.limit_state import LimitState
from shared.domain.rate_limit import Amounts, CallEnd, Cost, Rates, Terms, Wish
from shared.domain.reservations import Candidates, Reservation, Wait
from shared.domain.routing import Deployment

Moment = Callable[[], Argument]
"""Gives the moment of a step (seconds since the epoch), or an empty string for the server's own clock."""

_BEGUN: Final = "begun:"
"""What a field of a state begins with that says when a reservation was granted that was renewed since."""


class RedisRateLimits:
    """Implements ``RateLimits``. All deployments of a lane share a slot of a cluster."""

    def __init__(self, client: Client, moment: Moment = lambda: "") -> None:
        """``moment``: other than the server's own clock only where a test moves the time."""
        self._server = RoundTrips(client)
        self._moment = moment

    async def reserve(self, candidates: Candidates, wish: Wish) -> Reservation | Wait:
        """Reserve on the first of the candidates that has capacity now."""
        lane, deployments = candidates.lane, candidates.deployments
        keys = [key for deployment in deployments for key in limit_keys(lane, deployment.id)]
        arguments: list[Argument] = [self._moment(), wish.name, *wish.cost.amounts, wish.kept, int(wish.only_idle)]
        arguments.append(candidates.strategy.value)
        for deployment in deployments:
            terms = Terms.of(deployment, candidates.breaker)
            parallel = "" if terms.rates.parallel is None else terms.rates.parallel
            arguments += [*_texts(terms.rates.per_second), parallel, terms.lifetime_s, deployment.order]
        chosen, wait, flag = await self._server.run(ScriptCall(RESERVE_CAPACITY, keys, arguments))
        if chosen:
            return Reservation(wish.name, lane, deployments[chosen - 1], candidates.breaker, wish.cost, bool(flag))
        return Wait(float(wait), bool(flag))

    async def renew(self, reservation: Reservation) -> bool:
        """Hold on to a reservation whose call is under way still; give whether there was one to hold on to."""
        lifetime_s = Terms.of(reservation.deployment, reservation.breaker).lifetime_s
        return bool(await self._step(RENEW_CAPACITY, reservation, lifetime_s))

    async def settle(self, reservation: Reservation, actual: Cost, end: CallEnd) -> BreakerState | None:
        """Note what the call really took and how it ended; give the breaker's new state if that changed it."""
        unused = [before - after for before, after in zip(reservation.cost.amounts, actual.amounts, strict=True)]
        seen = (*_texts(end.seen.per_second), *_texts(end.seen.remaining))
        ended = (end.health.value, int(end.was_answered))
        state = await self._step(
            SETTLE_CAPACITY, reservation, *unused, *_terms(reservation), *ended, *seen, end.held_up_s
        )
        return BreakerState(state.decode()) if state else None

    async def refuse(self, reservation: Reservation, retry_after_s: float) -> None:
        """Note that the provider refused the call (429)."""
        await self._step(REFUSE_CAPACITY, reservation, retry_after_s, *_terms(reservation))

    async def look(self, lane: str, deployments: tuple[Deployment, ...]) -> tuple[LimitState, ...]:
        """Give what is known of each deployment now."""
        keys = [key for deployment in deployments for key in limit_keys(lane, deployment.id)]
        now, *found = await self._server.run(ScriptCall(LOOK_AT_CAPACITY, keys, [self._moment()]))
        states = zip(deployments, found[::2], found[1::2], strict=True)
        return tuple(_state(Rates.of(each.limits), float(now), fields, held) for each, fields, held in states)

    async def _step(self, script: Script, reservation: Reservation, *arguments: Argument) -> Any:  # noqa: ANN401 - the reply has the script's type
        keys = limit_keys(reservation.lane, reservation.deployment.id)
        return await self._server.run(ScriptCall(script, keys, [self._moment(), reservation.name, *arguments]))


def _state(rates: Rates, now: float, fields: Sequence[bytes], held: Sequence[bytes]) -> LimitState:
    """Read a state as the scripts keep it, and bring it to the moment ``now``."""
    found = {name.decode(): float(value) for name, value in zip(fields[::2], fields[1::2], strict=True)}
    missing = LimitState.missing(rates, now)
    state = replace(
        missing,
        at=found.get("at", missing.at),
        share=found.get("share", missing.share),
        levels=_four(found, "level"),
        cut_at=found.get("cut_at", 0.0),
        cut_share=found.get("cut_share", 0.0),
        granted=int(found.get("granted", 0)),
        refusals=int(found.get("refusals", 0)),
        closed_until=found.get("closed_until", 0.0),
        is_wanted=bool(found.get("wanted", 0)),
        contended_at=found.get("contended_at", 0.0),
        flow=_four(found, "flow"),
        latency_s=found.get("latency", 0.0),
        circuit=Circuit(
            failures=int(found.get("failures", 0)),
            opened_at=found.get("opened_at", 0.0),
            open_until=found.get("open_until", 0.0),
            openings=int(found.get("openings", 0)),
            window=int(found.get("window", 0)),
        ),
        held={name.decode(): float(end) for name, end in zip(held[::2], held[1::2], strict=True)},
        begun={name.removeprefix(_BEGUN): moment for name, moment in found.items() if name.startswith(_BEGUN)},
    )
    return state.advanced(rates, now)


def _four(found: Mapping[str, float], name: str) -> Amounts:
    return (
        found.get(f"{name}1", 0.0),
        found.get(f"{name}2", 0.0),
        found.get(f"{name}3", 0.0),
        found.get(f"{name}4", 0.0),
    )


def _terms(reservation: Reservation) -> list[Argument]:
    """Give what the scripts need to know of the deployment: rates, lifetime of a reservation, breaker."""
    terms = Terms.of(reservation.deployment, reservation.breaker)
    breaker = (terms.breaker.allowed_fails, terms.breaker.cooldown_s)
    return [*_texts(terms.rates.per_second), terms.lifetime_s, *breaker]


def _texts(amounts: tuple[float | None, ...]) -> list[Argument]:
    return ["" if amount is None else amount for amount in amounts]
