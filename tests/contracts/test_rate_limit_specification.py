"""The limits in the store do what the specification in ``shared/domain/limit_state.py`` says."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.domain.circuit import BreakerPolicy, BreakerState, Health
from shared.domain.limit_state import LimitState
from shared.domain.rate_limit import CallEnd, Cost, Sighting, Terms, Wish
from shared.domain.reservations import Candidates, Reservation, Wait, asking_order
from shared.domain.routing import ConfiguredLimits, RoutingStrategy
from tests.contracts.rate_limit_rig import LANE, Rig, deployment, rate_limit_rig

AMOUNTS = st.sampled_from([0.0, 1.0, 7.0, 100.0, 2_000.0])
LIMITS = st.builds(
    ConfiguredLimits,
    st.sampled_from([None, 0, 60, 6_000]),
    st.sampled_from([None, 0, 60_000]),
    st.sampled_from([None, 60_000]),
    st.sampled_from([None, 30_000]),
    st.sampled_from([None, 1, 5]),
)
OPTIONAL = st.sampled_from([None, 0.0, 0.5, 40.0])
SIGHTINGS = st.just(Sighting()) | st.builds(Sighting, st.tuples(*[OPTIONAL] * 4), st.tuples(*[OPTIONAL] * 4))
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("reserve"),
            st.builds(Cost, st.just(1.0), AMOUNTS, AMOUNTS),
            st.sampled_from([(0.0, False), (0.1, False), (1.0, False), (0.5, True)]),
        ),
        st.tuples(
            st.just("settle"),
            st.builds(Cost, st.just(1.0), AMOUNTS, AMOUNTS),
            st.builds(CallEnd, st.sampled_from(Health), st.booleans(), SIGHTINGS, st.sampled_from([0.0, 0.5, 60.0])),
        ),
        st.tuples(st.just("refuse"), st.sampled_from([0.0, 0.25, 5.0]), st.none()),
        st.tuples(st.just("renew"), st.none(), st.none()),
        st.tuples(st.just("pass"), st.sampled_from([0.001, 0.125, 1.0, 40.0, 400.0]), st.none()),
    ),
    max_size=60,
)


class Specification:
    """The same schedule, run on the specification alone."""

    def __init__(self, candidates: Candidates) -> None:
        self._candidates = candidates
        self._terms = [Terms.of(deployment, candidates.breaker) for deployment in candidates.deployments]
        self._states: list[LimitState | None] = [None] * len(self._terms)

    def reserve(self, wish: Wish, now: float) -> tuple[int, bool] | Wait:
        """The candidate's place and whether it is a probe, or the wait."""
        states = [self._now(place, now) for place in range(len(self._terms))]
        orders = [deployment.order for deployment in self._candidates.deployments]
        waits: list[float] = []
        is_down = True
        for place in asking_order(self._candidates.strategy, orders, states):
            state, terms = states[place], self._terms[place]
            wait, down = state.wait_s(terms.rates, wish, now), state.breaker_wait_s(terms.lifetime_s, now)
            if wait == down == 0:
                self._states[place] = state.reserved(terms.rates, wish.name, wish.cost, now + terms.lifetime_s)
                return place, state.circuit.open_until > 0
            if down == 0:
                self._states[place] = state.waiting(wish, now)
                is_down = False
            waits.append(max(wait, down))
        return Wait(min(waits), is_down)

    def settle(self, place: int, reservation: Reservation, actual: Cost, end: CallEnd, now: float) -> None:
        state = self._now(place, now)
        settled = state.settled(self._terms[place], reservation.name, reservation.cost, actual, end, now)
        if settled is not state:
            self._states[place] = settled

    def renew(self, place: int, reservation: Reservation, now: float) -> bool:
        state = self._now(place, now)
        renewed = state.renewed(self._terms[place], reservation.name, now)
        if renewed is not state:
            self._states[place] = renewed
        return renewed is not state

    def refuse(self, place: int, reservation: Reservation, retry_after_s: float, now: float) -> None:
        state = self._now(place, now)
        refused = state.refused(self._terms[place], reservation.name, retry_after_s, now)
        if refused is not state:
            self._states[place] = refused

    def breaker(self, place: int, now: float) -> BreakerState:
        return self._now(place, now).circuit.state(now)

    def _now(self, place: int, now: float) -> LimitState:
        rates = self._terms[place].rates
        return (self._states[place] or LimitState.missing(rates, now)).advanced(rates, now)


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    async with rate_limit_rig(valkey_url) as rig:
        yield rig


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(LIMITS, st.sampled_from([1, 2])), min_size=1, max_size=3),
    st.sampled_from(RoutingStrategy),
    STEPS,
)
async def test_any_schedule_has_the_same_answers_as_the_specification(
    rig: Rig,
    limits: list[tuple[ConfiguredLimits, int]],
    strategy: RoutingStrategy,
    steps: list[tuple[object, ...]],
) -> None:
    await rig.client.execute_command("FLUSHDB")
    rig.clock.seconds = 1_700_000_000.0
    deployments = tuple(
        replace(deployment(f"d{place}"), limits=limit, order=order) for place, (limit, order) in enumerate(limits)
    )
    candidates = Candidates(LANE, deployments, strategy, BreakerPolicy(allowed_fails=1))
    model, real, made = Specification(candidates), rig.limits(), list[tuple[int, Reservation]]()
    for number, (kind, one, other) in enumerate(steps):
        now = rig.clock.now()
        match kind, one, other:
            case "reserve", Cost() as cost, (float(kept), bool(only_idle)):
                wish = Wish(f"r{number}", cost, kept, only_idle)
                expected, answer = model.reserve(wish, now), await real.reserve(candidates, wish)
                if isinstance(answer, Wait):
                    assert isinstance(expected, Wait)
                    assert answer.is_down == expected.is_down
                    assert answer.seconds == pytest.approx(expected.seconds, rel=1e-6, abs=1e-6)
                else:
                    assert not isinstance(expected, Wait)
                    assert (deployments[expected[0]], expected[1]) == (answer.deployment, answer.is_probe)
                    made.append((expected[0], answer))
            case "settle", Cost() as actual, CallEnd() as end if made:
                place, reservation = made[number % len(made)]
                before = model.breaker(place, now)
                model.settle(place, reservation, actual, end, now)
                after = model.breaker(place, now)
                assert await real.settle(reservation, actual, end) == (None if after is before else after)
            case "renew", _, _ if made:
                place, reservation = made[number % len(made)]
                assert await real.renew(reservation) == model.renew(place, reservation, now)
            case "refuse", float(retry_after_s), _ if made:
                place, reservation = made[number % len(made)]
                model.refuse(place, reservation, retry_after_s, now)
                await real.refuse(reservation, retry_after_s)
            case "pass", float(seconds), _:
                rig.clock.seconds += seconds
    now = rig.clock.now()
    seen = await real.look(LANE, deployments)
    for place, state in enumerate(seen):
        expected_state = model._now(place, now)
        assert state.flow == pytest.approx(expected_state.flow, rel=1e-6, abs=1e-6)
        assert state.latency_s == pytest.approx(expected_state.latency_s, rel=1e-5, abs=1e-5)
        assert state.circuit == replace(
            expected_state.circuit, opened_at=state.circuit.opened_at, open_until=state.circuit.open_until
        )
        assert state.held == pytest.approx(expected_state.held, rel=0, abs=1e-5)
        assert state.begun == pytest.approx(expected_state.begun, rel=0, abs=1e-5)
