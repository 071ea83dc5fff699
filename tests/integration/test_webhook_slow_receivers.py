"""A receiver that is slow holds up no other receiver, and no other team."""

from contextlib import AsyncExitStack

import pytest

from shared.domain.webhook_schedule import DeliveryStatus
from tests.eventually import eventually
from tests.integration.webhook_rig import OTHER_TEAM, webhook_rig
from tests.servers.receiver import dawdle, receiver, take
from workers.couriers.mail_round import HANDS
from workers.couriers.webhook_places import MOST_OF_A_TEAM


@pytest.mark.hazard(25)
async def test_a_slow_receiver_holds_up_nobody_else(valkey_url: str) -> None:
    async with webhook_rig(valkey_url, timeout_s=15) as rig, receiver() as slow, receiver() as quick:
        rig.queue.is_hasty = False
        slow.answers = [dawdle]
        slow.secret = quick.secret = await rig.secret()
        for _ in range(60):
            await rig.end_job(slow.url)
        quick_jobs = [await rig.end_job(quick.url) for _ in range(30)]
        began = rig.clock.monotonic()
        async with rig.carrying(concurrency=4):
            await eventually(lambda: quick.has_received(len(quick_jobs)), within_s=15)
            took_s = rig.clock.monotonic() - began
            assert took_s < 14  # the first of the slow attempts is over after 15 s
            assert slow.most_at_once <= 4
            await rig.ended(len(quick_jobs))  # an event is noted as delivered after its receiver has it
            pending = [one for one in await rig.all() if one.status is DeliveryStatus.PENDING]
            assert len(pending) == 60
            assert {one.made for one in pending} == {0}, "who is put away has made no attempt"
            slow.answers = [take]
            slow.released.set()


@pytest.mark.hazard(25)
async def test_a_team_whose_receivers_are_all_slow_holds_up_no_other_team(valkey_url: str) -> None:
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(webhook_rig(valkey_url, timeout_s=15))
        rig.queue.is_hasty = False
        slow = [await stack.enter_async_context(receiver(await rig.secret())) for _ in range(4)]
        quick = await stack.enter_async_context(receiver(await rig.secret(OTHER_TEAM)))
        for each in slow:
            each.answers = [dawdle]
        for number in range(HANDS + 20):
            await rig.end_job(slow[number % 4].url)
        for _ in range(5):
            await rig.end_job(quick.url, team=OTHER_TEAM)
        async with rig.carrying(concurrency=HANDS):
            await eventually(lambda: quick.has_received(5), within_s=14)  # as above
            assert sum(each.most_at_once for each in slow) <= MOST_OF_A_TEAM
            for each in slow:
                each.answers = [take]
                each.released.set()
