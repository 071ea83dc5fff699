"""The limits in the store do what the specification in ``shared/domain/limit_state.py`` says."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.adapters.redis.connection import Client, connect
from shared.adapters.redis.rate_limits import RedisRateLimits
from shared.domain.circuit import BreakerPolicy, BreakerState, Health
from shared.domain.limit_state import LimitState
from shared.domain.rate_limit import CallEnd, Cost, Sighting, Terms, Wish
from shared.domain.reservations import Candidates, Reservation, Wait, asking_order
from shared.domain.routing import ClientKind, ConfiguredLimits, Deployment, RoutingStrategy
from tests.clock import ManualClock

LANE = "gpt-4o"
ONE = Cost()
WELL = CallEnd(Health.GOOD)
FAILED = CallEnd(Health.BAD)


def deployment(name: str = "d1", **limits: int | None) -> Deployment:
    return Deployment(name, LANE, "openai/gpt-4o", ClientKind.HTTP, limits=ConfiguredLimits(**limits), timeout_s=10)


@dataclass
class Rig:
    """The limits on a clock that is moved by hand."""

    client: Client
    clock: ManualClock = field(default_factory=ManualClock)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def limits(self) -> RedisRateLimits:
        return RedisRateLimits(self.client, self.clock.now)

    async def grants(self, *candidates: Deployment, cost: Cost = ONE, attempts: int = 1_000) -> list[Reservation]:
        """Reserve until the first wait."""
        granted: list[Reservation] = []
        for _ in range(attempts):
            answer = await self.limits().reserve(Candidates(LANE, candidates), Wish(f"wish-{next(self.numbers)}", cost))
            if isinstance(answer, Wait):
                break
            granted.append(answer)
        return granted


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    client = connect(valkey_url)
    yield Rig(client)
    await client.aclose()


@pytest.mark.hazard(10)
async def test_a_bucket_that_nothing_is_known_of_is_empty(rig: Rig) -> None:
    """Row 10: a restarted store causes no burst."""
    answer = await rig.limits().reserve(Candidates(LANE, (deployment(requests_per_minute=600),)), Wish("a", Cost()))
    assert isinstance(answer, Wait)
    assert answer.seconds == pytest.approx(0.1)


async def test_no_window_of_any_length_gets_more_than_its_share_and_one_bucket(rig: Rig) -> None:
    limited = deployment(requests_per_minute=6_000)
    granted = 0
    for step in range(100):
        granted += len(await rig.grants(limited))
        assert granted <= 100 * 0.02 * step + 50
        rig.clock.seconds += 0.02
    assert granted >= 100 * 0.02 * 99 - 1


@pytest.mark.hazard(12)
async def test_a_repeated_reservation_takes_nothing_more(rig: Rig) -> None:
    """Row 12: the reply was lost, and the script runs again."""
    limited = deployment(requests_per_minute=60)
    await rig.grants(limited)
    rig.clock.seconds += 10
    wish = Wish("same", Cost())
    first, second = [await rig.limits().reserve(Candidates(LANE, (limited,)), wish) for _ in range(2)]
    assert first == second
    assert isinstance(first, Reservation)
    assert isinstance(await rig.limits().reserve(Candidates(LANE, (limited,)), Wish("other", Cost())), Wait)


@pytest.mark.hazard(15)
async def test_a_dead_workers_slot_is_free_again_after_a_while(rig: Rig) -> None:
    """Row 15."""
    limited = deployment(max_parallel_requests=1, requests_per_minute=6_000)
    await rig.grants(limited)
    rig.clock.seconds += 1
    assert len(await rig.grants(limited)) == 1
    rig.clock.seconds += 69
    assert await rig.grants(limited) == []
    rig.clock.seconds += 2
    assert len(await rig.grants(limited)) == 1


async def test_what_was_reserved_and_not_used_is_given_back_once(rig: Rig) -> None:
    limited = deployment(tokens_per_minute=60_000)
    await rig.grants(limited)
    rig.clock.seconds += 1
    [reservation] = await rig.grants(limited, cost=Cost(1, 300, 200), attempts=1)
    assert await rig.grants(limited, cost=Cost(1, 10, 0)) == []
    for _ in range(3):
        await rig.limits().settle(reservation, Cost(1, 50, 50), WELL)
    assert sum(granted.cost.tokens for granted in await rig.grants(limited, cost=Cost(1, 10, 0))) == 400


async def test_what_was_used_beyond_the_reservation_is_paid_before_the_next(rig: Rig) -> None:
    limited = deployment(tokens_per_minute=60_000)
    await rig.grants(limited)
    rig.clock.seconds += 1
    [reservation] = await rig.grants(limited, cost=Cost(1, 100, 0), attempts=1)
    await rig.limits().settle(reservation, Cost(1, 100, 1_400), WELL)
    answer = await rig.limits().reserve(Candidates(LANE, (limited,)), Wish("next", Cost(1, 100, 0)))
    assert isinstance(answer, Wait)
    assert answer.seconds == pytest.approx(1.1)


async def test_input_and_output_tokens_are_counted_apart_where_the_provider_does(rig: Rig) -> None:
    limited = deployment(input_tokens_per_minute=60_000, output_tokens_per_minute=6_000)
    await rig.grants(limited)
    rig.clock.seconds += 1
    assert len(await rig.grants(limited, cost=Cost(1, 100, 1))) == 5
    assert await rig.grants(limited, cost=Cost(1, 1, 50)) == []
    rig.clock.seconds += 1
    assert len(await rig.grants(limited, cost=Cost(1, 1, 10))) == 5


async def test_the_second_deployment_is_taken_when_the_first_is_full(rig: Rig) -> None:
    pair = (deployment("d1", requests_per_minute=600), deployment("d2", requests_per_minute=600))
    await rig.grants(*pair)
    rig.clock.seconds += 1
    assert [reservation.deployment.id for reservation in await rig.grants(*pair)] == ["d1"] * 5 + ["d2"] * 5


async def test_a_limit_of_nothing_lets_nothing_through(rig: Rig) -> None:
    closed = deployment(requests_per_minute=0)
    rig.clock.seconds += 1_000
    assert await rig.limits().reserve(Candidates(LANE, (closed,)), Wish("a", Cost())) == Wait(3_600)


async def test_lower_classes_leave_the_reserve_to_interactive_work(rig: Rig) -> None:
    limited = deployment(requests_per_minute=6_000)
    await rig.grants(limited)
    rig.clock.seconds += 1
    bulk = [
        await rig.limits().reserve(Candidates(LANE, (limited,)), Wish(f"b{n}", Cost(), kept=0.1)) for n in range(50)
    ]
    assert sum(isinstance(answer, Reservation) for answer in bulk) == 45
    assert len(await rig.grants(limited)) == 5


async def test_a_refusal_closes_the_deployment_for_as_long_as_the_provider_asks(rig: Rig) -> None:
    limited = deployment(requests_per_minute=6_000)
    await rig.grants(limited)
    rig.clock.seconds += 1
    [reservation] = await rig.grants(limited, attempts=1)
    await rig.limits().refuse(reservation, retry_after_s=7)
    answer = await rig.limits().reserve(Candidates(LANE, (limited,)), Wish("next", Cost()))
    assert isinstance(answer, Wait)
    assert answer.seconds == pytest.approx(7)


async def test_a_refusal_that_is_told_twice_counts_once(rig: Rig) -> None:
    """Row 12: the reply was lost, and the script runs again."""
    limited = deployment(requests_per_minute=6_000)
    await rig.grants(limited)
    rig.clock.seconds += 1
    [reservation] = await rig.grants(limited, attempts=1)
    await rig.limits().refuse(reservation, retry_after_s=1)
    [once] = await rig.limits().look(LANE, (limited,))
    rig.clock.seconds += 0.5
    await rig.limits().refuse(reservation, retry_after_s=1)
    [twice] = await rig.limits().look(LANE, (limited,))
    assert (twice.closed_until, twice.cut_at, twice.refusals) == (once.closed_until, once.cut_at, once.refusals)


async def test_the_providers_own_limit_replaces_a_higher_one(rig: Rig) -> None:
    limited = deployment(requests_per_minute=6_000)
    await rig.grants(limited)
    rig.clock.seconds += 1
    [reservation] = await rig.grants(limited, attempts=1)
    await rig.limits().settle(
        reservation, Cost(), CallEnd(Health.GOOD, seen=Sighting(per_second=(50.0, None, None, None)))
    )
    rig.clock.seconds += 0.1
    assert len(await rig.grants(limited)) == 25


async def test_an_unknown_limit_is_searched_for_only_while_somebody_wants_more(rig: Rig) -> None:
    unknown = deployment()
    await rig.grants(unknown)
    rig.clock.seconds += 3_600
    idle = len(await rig.grants(unknown))
    wanted = steps = 0
    while wanted <= 50 and steps < 400:
        rig.clock.seconds += 0.05
        wanted, steps = len(await rig.grants(unknown)), steps + 1
    assert idle <= 12
    assert wanted > 50


@pytest.mark.parametrize("allowed", [50, 75, 97])
async def test_a_lower_real_limit_is_found_with_few_refusals_and_used(rig: Rig, allowed: int) -> None:
    """The provider counts as ours do, with a second's worth, and tells nothing but 429."""
    limited = deployment(requests_per_minute=6_000)
    level, served, refused = float(allowed), 0, 0
    for _ in range(60_000 // 20):
        rig.clock.seconds += 0.02
        level = min(allowed, level + allowed * 0.02)
        for reservation in await rig.grants(limited):
            if level >= 1:
                level, served = level - 1, served + 1
                await rig.limits().settle(reservation, Cost(), WELL)
            else:
                refused += 1
                await rig.limits().refuse(reservation, (1 - level) / allowed)
    assert refused < 0.01 * (served + refused)
    assert served >= 0.9 * allowed * 60


async def test_fifty_workers_at_once_get_no_more_than_there_is(rig: Rig) -> None:
    limited = deployment(requests_per_minute=600)
    await rig.grants(limited)
    rig.clock.seconds += 1
    answers = await asyncio.gather(
        *(rig.limits().reserve(Candidates(LANE, (limited,)), Wish(f"w{number}", Cost())) for number in range(50))
    )
    assert sum(isinstance(answer, Reservation) for answer in answers) == 5


async def test_deferrable_work_gets_nothing_while_other_work_waits(rig: Rig) -> None:
    candidates = Candidates(LANE, (deployment(requests_per_minute=6_000),))
    await rig.grants(*candidates.deployments)
    idle = Wish("deferrable", Cost(), kept=0.5, only_idle=True)
    granted = 0
    for step in range(400):
        rig.clock.seconds += 0.01
        await rig.grants(*candidates.deployments)  # others take all there is, and want more
        answer = await rig.limits().reserve(candidates, replace(idle, name=f"deferrable-{step}"))
        granted += isinstance(answer, Reservation)
    assert granted == 0


async def test_deferrable_work_takes_what_is_idle_and_leaves_its_share(rig: Rig) -> None:
    limited = deployment(requests_per_minute=6_000)
    await rig.grants(limited)
    rig.clock.seconds += 2
    answers = [
        await rig.limits().reserve(Candidates(LANE, (limited,)), Wish(f"d{n}", Cost(), kept=0.5, only_idle=True))
        for n in range(50)
    ]
    assert sum(isinstance(answer, Reservation) for answer in answers) == 25
    assert len(await rig.grants(limited)) == 25


async def test_deferrable_work_that_waits_does_not_make_others_of_its_kind_wait(rig: Rig) -> None:
    limited = deployment(requests_per_minute=60_000)
    await rig.grants(limited)
    rig.clock.seconds += 2
    granted = 0
    for step in range(100):
        rig.clock.seconds += 0.01
        for n in range(20):
            wish = Wish(f"d{step}-{n}", Cost(), kept=0.5, only_idle=True)
            granted += isinstance(await rig.limits().reserve(Candidates(LANE, (limited,)), wish), Reservation)
    assert granted >= 1_000


async def test_a_share_of_the_calls_at_once_is_left_too(rig: Rig) -> None:
    limited = deployment(max_parallel_requests=10, requests_per_minute=60_000)
    await rig.grants(limited)
    rig.clock.seconds += 2
    bulk = [
        await rig.limits().reserve(Candidates(LANE, (limited,)), Wish(f"b{n}", Cost(), kept=0.1)) for n in range(10)
    ]
    assert sum(isinstance(answer, Reservation) for answer in bulk) == 9
    assert len(await rig.grants(limited)) == 1


async def break_down(rig: Rig, candidates: Candidates) -> None:
    """Let the first deployment's breaker open."""
    for _ in range(candidates.breaker.allowed_fails + 1):
        rig.clock.seconds += 1
        answer = await rig.limits().reserve(candidates, Wish(f"wish-{next(rig.numbers)}", Cost()))
        assert isinstance(answer, Reservation)
        await rig.limits().settle(answer, Cost(), FAILED)


async def test_an_outage_that_one_worker_saw_is_known_to_all(rig: Rig) -> None:
    pair = (deployment("d1", requests_per_minute=6_000), deployment("d2", requests_per_minute=6_000))
    await rig.grants(*pair)
    await break_down(rig, Candidates(LANE, pair))
    taken = await rig.grants(*pair, attempts=5)
    assert {reservation.deployment.id for reservation in taken} == {"d2"}


async def test_when_all_are_down_the_wait_says_so(rig: Rig) -> None:
    only = Candidates(LANE, (deployment(requests_per_minute=6_000),))
    await rig.grants(*only.deployments)
    await break_down(rig, only)
    answer = await rig.limits().reserve(only, Wish("next", Cost()))
    assert isinstance(answer, Wait)
    assert answer.is_down
    assert answer.seconds == pytest.approx(5.0)


@pytest.mark.hazard(18)
async def test_what_is_back_is_called_by_one_probe_then_two_then_more(rig: Rig) -> None:
    """Row 18: after an outage no herd comes, though the bucket is full and a thousand jobs wait."""
    only = Candidates(LANE, (deployment(requests_per_minute=60_000),))
    await rig.grants(*only.deployments)
    await break_down(rig, only)
    rig.clock.seconds += 6
    at_once = []
    for _ in range(8):
        calls = await rig.grants(*only.deployments)
        at_once.append(len(calls))
        rig.clock.seconds += 0.5
        for call in calls:
            await rig.limits().settle(call, Cost(), WELL)
    assert at_once[:6] == [1, 2, 4, 8, 16, 32]
    assert at_once[-1] >= 400


@pytest.mark.hazard(19)
async def test_a_clients_own_faults_never_open_a_breaker(rig: Rig) -> None:
    """Row 19: nor does one deployment's breaker touch another's, though they serve the same model."""
    pair = (deployment("d1", requests_per_minute=6_000), deployment("d2", requests_per_minute=6_000))
    await rig.grants(*pair)
    rig.clock.seconds += 1
    for reservation in await rig.grants(*pair, attempts=60):
        await rig.limits().settle(reservation, Cost(), CallEnd(Health.GOOD))
    assert all(
        state.circuit.state(rig.clock.now()) is BreakerState.CLOSED for state in await rig.limits().look(LANE, pair)
    )
    await break_down(rig, Candidates(LANE, pair))
    first, second = await rig.limits().look(LANE, pair)
    now = rig.clock.now()
    assert (first.circuit.state(now), second.circuit.state(now)) == (BreakerState.OPEN, BreakerState.CLOSED)


async def test_a_refused_probe_is_a_sign_of_life(rig: Rig) -> None:
    only = Candidates(LANE, (deployment(requests_per_minute=6_000),))
    await rig.grants(*only.deployments)
    await break_down(rig, only)
    rig.clock.seconds += 6
    [probe] = await rig.grants(*only.deployments)
    await rig.limits().refuse(probe, 0.1)
    [state] = await rig.limits().look(LANE, only.deployments)
    assert state.circuit.state(rig.clock.now()) is BreakerState.RAMPING


async def test_the_fastest_deployment_is_asked_first_once_all_were_measured(rig: Rig) -> None:
    pair = (deployment("d1", requests_per_minute=60_000), deployment("d2", requests_per_minute=60_000))
    by_latency = Candidates(LANE, pair, RoutingStrategy.LATENCY)
    await rig.grants(*pair)
    rig.clock.seconds += 1
    served = []
    for number in range(6):
        call = await rig.limits().reserve(by_latency, Wish(f"call-{number}", Cost()))
        assert isinstance(call, Reservation)
        served.append(call.deployment.id)
        rig.clock.seconds += {"d1": 0.9, "d2": 0.3}[call.deployment.id]
        await rig.limits().settle(call, Cost(), CallEnd(Health.GOOD, was_answered=True))
    assert served == ["d1", "d2", "d2", "d2", "d2", "d2"]


async def test_the_least_busy_deployment_is_asked_first(rig: Rig) -> None:
    pair = (deployment("d1", requests_per_minute=60_000), deployment("d2", requests_per_minute=60_000))
    await rig.grants(*pair)
    rig.clock.seconds += 1
    by_load = Candidates(LANE, pair, RoutingStrategy.LEAST_BUSY)
    served = [await rig.limits().reserve(by_load, Wish(f"call-{number}", Cost())) for number in range(6)]
    assert [call.deployment.id for call in served if isinstance(call, Reservation)] == ["d1", "d2"] * 3


async def test_the_flow_through_a_deployment_is_seen(rig: Rig) -> None:
    limited = deployment(requests_per_minute=6_000)
    for _ in range(4_000):
        rig.clock.seconds += 0.01
        await rig.grants(limited)
    [state] = await rig.limits().look(LANE, (limited,))
    assert state.flow[0] == pytest.approx(100, rel=0.05)


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
