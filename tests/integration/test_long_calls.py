"""Calls that stream for long: their place among the calls at once, and what is learned of their latency."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from shared.adapters.redis.connection import connect
from shared.adapters.redis.rate_limits import RedisRateLimits
from shared.domain.catalog import Lane
from shared.domain.class_shares import ClassShares
from shared.domain.clock import Clock, SystemClock
from shared.domain.job import Envelope, JobSpec
from shared.domain.lanes import DEFAULT_WEIGHTS, JobClass, Priority
from shared.domain.limit_state import LimitState
from shared.domain.providers import OnPiece, ProviderAnswer
from shared.domain.rate_limit import Cost, Wish
from shared.domain.reservations import Candidates, Reservation, Wait
from shared.domain.routing import ClientKind, ConfiguredLimits, Deployment
from shared.domain.token_estimate import TokenEstimator
from shared.domain.turns import Turns
from shared.domain.usage import Usage
from tests.clock import ManualClock
from tests.eventually import eventually
from tests.servers.valkey import PrivateValkey
from workers.call_ends import CallEnds
from workers.quota_gate import QuotaGate
from workers.renewals import RENEW_EVERY_S, Renewals
from workers.room import Room
from workers.stages.capacity import Capacity, LimitParts
from workers.stages.provider_call import ProviderCall
from workers.task import Answer, Task

ONE_AT_A_TIME = Deployment(
    *("d1", "m", "openai/m", ClientKind.HTTP),
    limits=ConfiguredLimits(requests_per_minute=60_000, max_parallel_requests=1),
    timeout_s=10,
)
LANE = Lane("m", (ONE_AT_A_TIME,))
PIECES = 3


@dataclass
class Provider:
    """Takes 2 s for each piece; ``while_it_streams`` is awaited after the first."""

    clock: ManualClock

    async def while_it_streams(self) -> None:
        """Nothing more happens."""

    async def stream(
        self, deployment: Deployment, endpoint: str, request: Mapping[str, Any], on_piece: OnPiece
    ) -> ProviderAnswer:
        for number in range(PIECES):
            self.clock.seconds += 2
            await on_piece(b"{}")
            if number == 0:
                await self.while_it_streams()
        return await self.call(deployment, endpoint, request)

    async def call(self, deployment: Deployment, endpoint: str, request: Mapping[str, Any]) -> ProviderAnswer:  # noqa: ARG002 - the port's names
        return ProviderAnswer({}, Usage(1, 1))

    async def close(self) -> None:
        """Nothing is open."""


@dataclass
class SlowReader:
    """Holds its writer up for 10 s with each piece."""

    clock: ManualClock

    async def send(self, _piece: bytes) -> None:
        self.clock.seconds += 10

    async def close(self) -> None:
        """Nothing is open."""


@dataclass
class Rig:
    """One deployment's limits, on a clock that is moved by hand."""

    limits: RedisRateLimits
    clock: ManualClock

    async def run(self, provider: Provider, renewals_clock: Clock) -> Answer:
        """Run a job that streams to a slow reader through the two stages that know of its call."""
        ends = CallEnds(self.limits, self.clock, lambda _: None)
        gates = {"m": QuotaGate(self.limits, Turns(DEFAULT_WEIGHTS), ends)}
        renewals, estimator = Renewals(self.limits, renewals_clock), TokenEstimator()
        parts = LimitParts(gates, {"m": Room(8)}, ClassShares(), self.clock, ends, renewals, estimator)
        call = ProviderCall({ClientKind.HTTP: provider}, estimator, self.clock, lambda _: None)

        async def proceed(task: Task) -> Answer:
            return await call(task, proceed)

        spec = JobSpec("job_1", "team", "/v1/chat/completions", "m", "m", Priority.STANDARD, 0.0, streams=True)
        task = Task(Envelope(spec, {"messages": []}), LANE, JobClass("standard"), 1, stream=SlowReader(self.clock))
        return await Capacity(parts)(task.among(LANE, LANE.deployments, has_alternative=False), proceed)

    async def reserve(self, name: str) -> Reservation | Wait:
        return await self.limits.reserve(Candidates("m", LANE.deployments, breaker=LANE.breaker), Wish(name, Cost()))

    async def state(self) -> LimitState:
        [state] = await self.limits.look("m", LANE.deployments)
        return state


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    client = connect(valkey_url)
    clock = ManualClock()
    rig = Rig(RedisRateLimits(client, clock.now), clock)
    await rig.reserve("early")  # what nothing is known of is empty
    rig.clock.seconds += 60
    yield rig
    await client.aclose()


async def test_the_latency_of_a_call_is_the_providers_and_not_its_readers(rig: Rig) -> None:
    answer = await rig.run(Provider(rig.clock), SystemClock())
    assert answer.held_up_s == pytest.approx(10 * PIECES)
    assert (await rig.state()).latency_s == pytest.approx(2 * PIECES, abs=1e-3)


async def test_a_call_that_streams_for_long_holds_its_place(rig: Rig) -> None:
    """The clock moves by itself here: with each sleep between two renewals."""

    @dataclass
    class LongAnswer(Provider):
        async def while_it_streams(self) -> None:
            end = self.clock.seconds + 20 * 60

            async def is_late() -> bool:
                answers.append(await rig.reserve("other"))
                return self.clock.seconds > end

            await eventually(is_late)

    answers: list[Reservation | Wait] = []
    await rig.run(LongAnswer(rig.clock), rig.clock)
    assert {type(answer) for answer in answers} == {Wait}
    state = await rig.state()
    assert (dict(state.held), dict(state.begun)) == ({}, {})
    assert isinstance(await rig.reserve("next"), Reservation)


@dataclass
class HastyClock(SystemClock):
    """Wakes sleepers far too early, and counts them."""

    sleeps: int = 0

    async def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        await super().sleep(0.05 * seconds / RENEW_EVERY_S)


async def test_a_store_that_was_away_ends_no_renewing(private_valkey: PrivateValkey) -> None:
    """By the store's own clock."""
    client = connect(private_valkey.url)
    rig, clock = Rig(RedisRateLimits(client), ManualClock()), HastyClock()

    async def reserved() -> Reservation | None:
        answer = await rig.reserve("long")
        return answer if isinstance(answer, Reservation) else None

    async def has_tried_in_vain() -> bool:
        return clock.sleeps >= at_the_kill + 2

    async def is_renewed() -> bool:
        return (await rig.state()).held["long"] > before

    reservation = await eventually(reserved)
    assert reservation is not None
    async with Renewals(rig.limits, clock).held(reservation):
        await private_valkey.kill()
        at_the_kill = clock.sleeps
        await eventually(has_tried_in_vain)
        await private_valkey.start()
        before = (await rig.state()).held["long"]
        assert await eventually(is_renewed)
    await client.aclose()
