"""A breaker opens and closes, and the teams' endpoints hear of it, each time once."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from scheduler.duties.publish_notices import PublishNotices
from scheduler.duties.tell_provider_changes import TellProviderChanges
from shared.adapters.redis.provider_changes import RedisProviderChanges
from shared.adapters.redis.rate_limits import RedisRateLimits
from shared.domain.catalog import Lane
from shared.domain.circuit import BreakerPolicy, Health
from shared.domain.errors import BrokerUnavailable, StoreUnavailable
from shared.domain.notices import Notice
from shared.domain.provider_changes import STEADY_AFTER_S, ProviderChange, ProviderChanges
from shared.domain.rate_limit import CallEnd, Cost, Wish
from shared.domain.reservations import Candidates, Reservation
from shared.domain.routing import ClientKind, Deployment
from shared.domain.webhook_deliveries import Delivery
from shared.domain.webhooks import EventType
from shared.wire.moments import format_moment
from tests.clock import ManualClock
from tests.integration.webhook_rig import OTHER_TEAM, TEAM, WebhookRig, webhook_rig
from tests.servers.receiver import Receiver, receiver

POLICY = BreakerPolicy(allowed_fails=0, cooldown_s=5.0)
GOOD, BAD = CallEnd(Health.GOOD), CallEnd(Health.BAD)


def a_deployment(name: str) -> Deployment:
    return Deployment(
        name, "gpt-4o", "openai/m", ClientKind.HTTP, api_base="http://internal.example/v1", api_key="sk-secret"
    )


LANE = Lane("gpt-4o", (a_deployment("openai/0"), a_deployment("openai/1")), breaker=POLICY)
FIRST, SECOND = LANE.deployments


@dataclass
class Outage:
    """A lane of two deployments whose calls end as the test says; its limits' clock is moved by hand."""

    rig: WebhookRig
    clock: ManualClock

    @property
    def duty(self) -> TellProviderChanges:
        return self.duty_with(self.rig.parts.provider_changes)

    async def look_and_die(self, *, is_in_the_outboxes: bool) -> None:
        dying = DyingChanges(self.rig.redis)
        dying.is_in_the_outboxes = is_in_the_outboxes
        with pytest.raises(StoreUnavailable):
            await self.duty_with(dying)()

    @asynccontextmanager
    async def listening(self, *events: EventType, team: str = TEAM) -> AsyncIterator[Receiver]:
        """Have a receiver at an endpoint of a team."""
        async with receiver() as hook:
            hook.secret = (await self.rig.endpoint(hook.url, *events, team=team)).secret.current
            yield hook

    def duty_with(self, changes: ProviderChanges) -> TellProviderChanges:
        parts = self.rig.duty_parts(RedisRateLimits(self.rig.redis, self.clock.now), LANE)
        return TellProviderChanges(replace(parts, provider_changes=changes))

    async def call(self, deployment: Deployment, end: CallEnd, after_s: float = 10.0) -> float:
        """Have a call end a while later; give that moment."""
        self.clock.seconds += after_s
        limits = RedisRateLimits(self.rig.redis, self.clock.now)
        wish = Wish(f"wish-{self.clock.seconds}", Cost())
        await limits.reserve(Candidates(LANE.name, (deployment,), breaker=POLICY), wish)  # its bucket may be new
        self.clock.seconds += 1.0
        taken = await limits.reserve(Candidates(LANE.name, (deployment,), breaker=POLICY), wish)
        assert isinstance(taken, Reservation)
        await limits.settle(taken, Cost(), end)
        return self.clock.seconds

    async def carry(self, count: int, team: str = TEAM) -> list[Delivery]:
        """Have couriers carry what there is, until so many deliveries have ended; the oldest first."""
        async with self.rig.carrying():
            return (await self.rig.ended(count, team))[::-1]


class DyingChanges(RedisProviderChanges):
    """The real ones; whoever tells a change dies before it is in the outboxes, or behind that. Then it is noted as untold."""

    is_in_the_outboxes = False

    async def tell(self, change: ProviderChange) -> Sequence[Notice]:
        if self.is_in_the_outboxes:
            await super().tell(change)
        raise StoreUnavailable


@pytest.fixture
async def outage(valkey_url: str) -> AsyncIterator[Outage]:
    async with webhook_rig(valkey_url) as rig:
        yield Outage(rig, ManualClock())


async def test_a_deployment_that_goes_down_is_told_once_to_each_endpoint_that_wants_it(outage: Outage) -> None:
    async with (
        outage.listening(EventType.PROVIDER_DOWN) as wants_it,
        outage.listening(team=OTHER_TEAM) as wants_all,
        outage.listening(EventType.JOB_FAILED, EventType.PROVIDER_UP, team=OTHER_TEAM) as wants_others,
    ):
        await outage.call(SECOND, GOOD)
        assert await outage.duty() == {}
        opened_at = await outage.call(FIRST, BAD)
        assert [await outage.duty(), await outage.duty()] == [{"down": 1}, {}]
        await outage.call(FIRST, BAD)
        assert await outage.duty() == {}, "a probe that fails is no news"
        await outage.carry(1)
        await outage.carry(1, OTHER_TEAM)
        [received] = wants_it.received
        assert received.event["type"] == "provider.down"
        assert received.event["timestamp"] == format_moment(opened_at)
        assert received.event["data"] == {
            "id": "openai/0",
            "object": "deployment",
            "model": "gpt-4o",
            "status": "down",
            "since": format_moment(opened_at),
        }
        assert [wants_all.seen, wants_others.seen] == [{received.id: 1}, {}]


async def test_a_deployment_that_comes_back_is_told_when_it_is_steady_again(outage: Outage) -> None:
    async with outage.listening() as hook:
        await outage.call(FIRST, BAD)
        assert await outage.duty() == {"down": 1}
        await outage.call(FIRST, GOOD)
        assert await outage.duty() == {}, "one good probe"
        outage.clock.seconds += STEADY_AFTER_S
        assert [await outage.duty(), await outage.duty()] == [{"up": 1}, {}]
        await outage.carry(2)
        await outage.call(FIRST, BAD)
        assert await outage.duty() == {"down": 1}
        await outage.carry(3)
        told = sorted((received.event for received in hook.received), key=lambda event: event["sequence"])
        assert [event["type"] for event in told] == ["provider.down", "provider.up", "provider.down"]
        assert list(hook.seen.values()) == [1, 1, 1]


@pytest.mark.parametrize("is_in_the_outboxes", [False, True])
async def test_a_crash_in_the_middle_of_telling_tells_the_same_event_and_then_what_came_after_it(
    outage: Outage, *, is_in_the_outboxes: bool
) -> None:
    async with outage.listening() as hook:
        opened_at = await outage.call(FIRST, BAD)
        for _ in range(2):
            await outage.look_and_die(is_in_the_outboxes=is_in_the_outboxes)
        await outage.call(FIRST, GOOD)
        outage.clock.seconds += STEADY_AFTER_S
        assert [await outage.duty(), await outage.duty()] == [{"up": 1}, {}]
        await PublishNotices(outage.rig.duty_parts(), overdue_after_s=0.0)()
        down, up = await outage.carry(2)
        assert [down.event.type, up.event.type] == [EventType.PROVIDER_DOWN, EventType.PROVIDER_UP]
        assert [down.event.sequence, up.event.sequence] == [1, 2]
        assert down.event.at == opened_at
        assert hook.seen == {down.event.id: 1, up.event.id: 1}


async def test_a_change_that_could_not_be_published_is_published_by_the_next_duty_for_notices(outage: Outage) -> None:
    async with outage.listening() as hook:
        await outage.call(FIRST, BAD)
        outage.rig.queue.fails = 1
        with pytest.raises(BrokerUnavailable):
            await outage.duty()
        assert [await outage.duty(), await outage.rig.depth()] == [{}, 0]
        await PublishNotices(outage.rig.duty_parts(), overdue_after_s=0.0)()
        [delivery] = await outage.carry(1)
        assert hook.seen == {delivery.event.id: 1}
