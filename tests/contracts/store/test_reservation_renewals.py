"""A call that lasts longer than a reservation does: what renewing is, and what it is not."""

from dataclasses import replace

import pytest

from shared.adapters.redis.connection import Client
from shared.adapters.redis.keys import limit_keys
from shared.adapters.redis.rate_limits import RedisRateLimits
from shared.domain.circuit import BreakerPolicy, BreakerState, Health
from shared.domain.limit_state import LimitState
from shared.domain.rate_limit import CallEnd, Cost, Terms, Wish
from shared.domain.reservations import Candidates, Reservation, Wait
from shared.domain.routing import ClientKind, ConfiguredLimits, Deployment, RoutingStrategy
from tests.clock import ManualClock

LANE = "sim"
ONE_AT_A_TIME = Deployment(
    *("d1", LANE, "openai/m", ClientKind.HTTP),
    limits=ConfiguredLimits(requests_per_minute=60_000, max_parallel_requests=1),
    timeout_s=10,
)
MANY = replace(ONE_AT_A_TIME, limits=ConfiguredLimits(requests_per_minute=60_000))
BREAKER = BreakerPolicy(allowed_fails=0, cooldown_s=5.0)
LIFETIME_S = Terms.of(MANY, BREAKER).lifetime_s
ANSWERED = CallEnd(Health.GOOD, was_answered=True)


class Rig:
    """The limits on a clock that is moved by hand."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.clock = ManualClock()
        self.limits = RedisRateLimits(client, self.clock.now)

    async def ask(self, name: str, *deployments: Deployment) -> Reservation | Wait:
        candidates = Candidates(LANE, deployments, RoutingStrategy.LATENCY, BREAKER)
        return await self.limits.reserve(candidates, Wish(name, Cost()))

    async def reserve(self, name: str, *deployments: Deployment) -> Reservation:
        """Reserve in buckets that are full."""
        await self.ask(name, *deployments)  # what nothing is known of is empty
        self.clock.seconds += 1
        answer = await self.ask(name, *deployments)
        assert isinstance(answer, Reservation)
        return answer

    async def go_on(self, reservation: Reservation, seconds: float) -> None:
        """Let a call last so much longer, and renew its reservation all the while."""
        end = self.clock.seconds + seconds
        while self.clock.seconds < end:
            self.clock.seconds = min(end, self.clock.seconds + LIFETIME_S / 2)
            assert await self.limits.renew(reservation)

    async def state(self, deployment: Deployment) -> LimitState:
        [state] = await self.limits.look(LANE, (deployment,))
        return state

    async def renewed(self, deployment: Deployment) -> list[str]:
        """The reservations that the store remembers as renewed."""
        fields = await self.client.execute_command("HKEYS", limit_keys(LANE, deployment.id)[0])
        return [field.decode() for field in fields if field.startswith(b"begun:")]


@pytest.fixture
def rig(client: Client) -> Rig:
    return Rig(client)


async def test_a_renewed_call_holds_its_place_for_as_long_as_it_lasts(rig: Rig) -> None:
    call = await rig.reserve("long", ONE_AT_A_TIME)
    await rig.go_on(call, 1_200)
    assert isinstance(await rig.ask("other", ONE_AT_A_TIME), Wait)
    await rig.limits.settle(call, Cost(), ANSWERED)
    assert isinstance(await rig.ask("other", ONE_AT_A_TIME), Reservation)


@pytest.mark.hazard(15)
async def test_a_slot_that_nobody_renews_any_more_is_free_after_a_while(rig: Rig) -> None:
    """Row 15: its worker died in the middle of a long stream; nothing of it is left."""
    call = await rig.reserve("long", ONE_AT_A_TIME)
    await rig.go_on(call, 600)
    assert await rig.renewed(ONE_AT_A_TIME) == ["begun:long"]
    rig.clock.seconds += LIFETIME_S - 1
    assert isinstance(await rig.ask("other", ONE_AT_A_TIME), Wait)
    rig.clock.seconds += 2
    assert isinstance(await rig.ask("other", ONE_AT_A_TIME), Reservation)
    assert set((await rig.state(ONE_AT_A_TIME)).held) == {"other"}
    assert await rig.renewed(ONE_AT_A_TIME) == []


@pytest.mark.parametrize("end", ["settled", "refused", "forgotten"])
async def test_a_late_renewal_revives_no_reservation(rig: Rig, end: str) -> None:
    call = await rig.reserve("long", ONE_AT_A_TIME)
    await rig.go_on(call, 100)
    if end == "settled":
        await rig.limits.settle(call, Cost(), ANSWERED)
    elif end == "refused":
        await rig.limits.refuse(call, 0.1)
    else:
        rig.clock.seconds += LIFETIME_S
    assert not await rig.limits.renew(call)
    assert not (await rig.state(ONE_AT_A_TIME)).held
    rig.clock.seconds += 1
    await rig.ask("other", ONE_AT_A_TIME)
    assert await rig.renewed(ONE_AT_A_TIME) == []


async def test_a_renewed_call_is_as_old_as_it_is(rig: Rig) -> None:
    call = await rig.reserve("long", MANY)
    began_at = rig.clock.seconds
    await rig.go_on(call, 300)
    await rig.limits.renew(call)  # its reply was lost, and it came twice
    state = await rig.state(MANY)
    assert state.begun == pytest.approx({"long": began_at}, rel=0, abs=1e-3)
    await rig.limits.settle(call, Cost(), ANSWERED)
    assert (await rig.state(MANY)).latency_s == pytest.approx(300, abs=1e-3)


async def test_what_a_call_waited_for_its_reader_is_no_latency(rig: Rig) -> None:
    call = await rig.reserve("held up", MANY)
    rig.clock.seconds += 60
    await rig.limits.settle(call, Cost(), replace(ANSWERED, held_up_s=57.0))
    assert (await rig.state(MANY)).latency_s == pytest.approx(3, abs=1e-3)


async def test_a_slow_reader_drives_no_calls_away_from_a_fast_deployment(rig: Rig) -> None:
    fast, slow = (replace(MANY, id=name) for name in ("fast", "slow"))
    for deployment, held_up_s in ((fast, 50.0), (slow, 0.0)):
        call = await rig.reserve(f"of {deployment.id}", deployment)
        rig.clock.seconds += 2.0 + held_up_s if deployment is fast else 5.0
        await rig.limits.settle(call, Cost(), replace(ANSWERED, held_up_s=held_up_s))
    following = await rig.ask("next", slow, fast)
    assert isinstance(following, Reservation)
    assert following.deployment.id == "fast"


async def fail(rig: Rig) -> None:
    """Let the breaker open, and its cooldown pass."""
    call = await rig.reserve("fails", MANY)
    await rig.limits.settle(call, Cost(), CallEnd(Health.BAD))
    rig.clock.seconds += 6


async def test_a_call_from_before_an_outage_keeps_no_probe_waiting_though_it_was_renewed(rig: Rig) -> None:
    call = await rig.reserve("long", MANY)
    await fail(rig)
    await rig.limits.renew(call)
    probe = await rig.ask("probe", MANY)
    assert isinstance(probe, Reservation)
    assert probe.is_probe


async def test_the_end_of_a_call_from_before_an_outage_is_no_news_though_it_was_renewed(rig: Rig) -> None:
    call = await rig.reserve("long", MANY)
    await fail(rig)
    await rig.limits.renew(call)
    await rig.limits.settle(call, Cost(), ANSWERED)
    assert (await rig.state(MANY)).circuit.state(rig.clock.now()) is BreakerState.HALF_OPEN
