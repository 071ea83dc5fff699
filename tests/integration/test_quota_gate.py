"""Where a worker's jobs wait for the provider's limits: the real limits, in a real store."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest

from shared.adapters.redis.connection import connect
from shared.adapters.redis.rate_limits import RedisRateLimits
from shared.domain.circuit import BreakerPolicy, Health
from shared.domain.clock import SystemClock
from shared.domain.lanes import DEFAULT_WEIGHTS, JobClass
from shared.domain.rate_limit import CallEnd, Cost, Wish
from shared.domain.reservations import Candidates, Reservation, Wait
from shared.domain.routing import ClientKind, ConfiguredLimits, Deployment
from shared.domain.turns import Turns
from workers.call_ends import CallEnds
from workers.quota_gate import LONG_WAIT_S, Applicant, LaneBlocked, QuotaGate

LANE = "gpt-4o"


def deployment(**limits: int) -> Deployment:
    return Deployment("d1", LANE, "openai/gpt-4o", ClientKind.HTTP, limits=ConfiguredLimits(**limits))


@dataclass
class Rig:
    limits: RedisRateLimits
    gate: QuotaGate
    through: list[str] = field(default_factory=list)

    async def pass_through(
        self, name: str, job_class: str, target: Deployment, *, has_alternative: bool = False
    ) -> Reservation:
        candidates = Candidates(LANE, (target,), breaker=BreakerPolicy(allowed_fails=0, cooldown_s=0.2))
        applicant = Applicant(JobClass(job_class), candidates, Wish(name, Cost()), has_alternative)
        reservation = await self.gate.pass_through(applicant)
        self.through.append(name)
        return reservation


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    client = connect(valkey_url)
    limits = RedisRateLimits(client)
    yield Rig(limits, QuotaGate(limits, Turns(DEFAULT_WEIGHTS), CallEnds(limits, SystemClock(), lambda _: None)))
    await client.aclose()


async def test_interactive_work_overtakes_what_waits(rig: Rig) -> None:
    slow = deployment(requests_per_minute=600)
    bulk = [asyncio.create_task(rig.pass_through(f"bulk-{n}", "bulk", slow)) for n in range(5)]
    await bulk[0]
    interactive = asyncio.create_task(rig.pass_through("interactive", "interactive", slow))
    await asyncio.gather(*bulk, interactive)
    assert rig.through.index("interactive") < 3
    assert [name for name in rig.through if name != "interactive"] == [f"bulk-{n}" for n in range(5)]


async def test_a_lane_without_a_limit_to_speak_of_sends_everybody_away(rig: Rig) -> None:
    closed = deployment(requests_per_minute=0)
    waiting = [asyncio.create_task(rig.pass_through(f"job-{n}", "standard", closed)) for n in range(3)]
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [LaneBlocked] * 3


async def test_a_cancelled_job_holds_no_reservation(rig: Rig) -> None:
    one_at_a_time = deployment(max_parallel_requests=1, requests_per_minute=60_000)
    first = await rig.pass_through("first", "standard", one_at_a_time)
    second = asyncio.create_task(rig.pass_through("second", "standard", one_at_a_time))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    await rig.limits.settle(first, Cost(), CallEnd(Health.GOOD))
    assert (await rig.pass_through("third", "standard", one_at_a_time)).name == "third"


async def test_who_may_go_elsewhere_is_not_held_up_by_who_may_not(rig: Rig) -> None:
    """Each region waits for its own deployments."""
    shut, wide = deployment(requests_per_minute=1), replace(deployment(requests_per_minute=60_000), id="d2")
    stuck = asyncio.create_task(rig.pass_through("stuck", "interactive", shut))
    await asyncio.gather(*(rig.pass_through(f"job-{n}", "bulk", wide) for n in range(5)))
    assert not stuck.done()
    stuck.cancel()
    await asyncio.gather(stuck, return_exceptions=True)


async def test_who_has_an_alternative_does_not_wait_for_what_is_down(rig: Rig) -> None:
    target = deployment(requests_per_minute=60_000)
    call = await rig.pass_through("fails", "standard", target)
    await rig.limits.settle(call, Cost(), CallEnd(Health.BAD))
    waits = asyncio.create_task(rig.pass_through("waits", "standard", target))
    with pytest.raises(LaneBlocked):
        await rig.pass_through("leaves", "standard", target, has_alternative=True)
    assert (await waits).is_probe


async def test_who_is_cancelled_in_the_moment_of_the_grant_holds_nothing(rig: Rig) -> None:
    one_at_a_time = deployment(max_parallel_requests=1, requests_per_minute=60_000)
    granted = asyncio.Event()
    real = rig.limits.reserve

    async def reserve(candidates: Candidates, wish: Wish) -> Reservation | Wait:
        found = await real(candidates, wish)
        if isinstance(found, Reservation):
            granted.set()
        return found

    rig.limits.reserve = reserve  # type: ignore[method-assign]  # to meet the moment
    passing = asyncio.create_task(rig.pass_through("first", "standard", one_at_a_time))
    await granted.wait()
    passing.cancel()
    await asyncio.gather(passing, return_exceptions=True)
    assert (await rig.pass_through("second", "standard", one_at_a_time)).name == "second"


async def test_who_may_take_only_what_is_idle_holds_up_nobody_when_it_would_be_its_turn(rig: Rig) -> None:
    slow = deployment(requests_per_minute=600)
    never_idle = Applicant(
        JobClass("deferrable.24h"), Candidates(LANE, (slow,)), Wish("patient", Cost(), kept=1.0, only_idle=True)
    )
    patient = asyncio.create_task(rig.gate.pass_through(never_idle))
    async with asyncio.timeout(LONG_WAIT_S):
        await asyncio.gather(*(rig.pass_through(f"job-{n}", "standard", slow) for n in range(5)))
    assert not patient.done()
    patient.cancel()
    await asyncio.gather(patient, return_exceptions=True)


async def test_interactive_work_takes_what_is_reserved_for_it_while_another_class_has_its_turn(rig: Rig) -> None:
    few = deployment(max_parallel_requests=2, requests_per_minute=60_000)
    await rig.pass_through("long call", "standard", few)
    breaker = BreakerPolicy()
    wish = Wish("standard", Cost(), kept=0.5)
    waits = asyncio.create_task(
        rig.gate.pass_through(Applicant(JobClass("standard"), Candidates(LANE, (few,), breaker=breaker), wish))
    )
    await asyncio.sleep(0)
    for _ in range(3):
        call = await rig.pass_through("interactive", "interactive", few)
        await rig.limits.settle(call, Cost(), CallEnd(Health.GOOD))
    assert not waits.done()
    waits.cancel()
    await asyncio.gather(waits, return_exceptions=True)
