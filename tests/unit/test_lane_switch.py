import asyncio

from workers.lane_switch import LaneSwitch


def test_a_lane_is_paused_by_its_name_until_it_is_resumed() -> None:
    switch = LaneSwitch()
    switch.pause("gpt-4o")
    switch.pause("gpt-4o")
    assert [switch.is_paused(lane) for lane in ("gpt-4o", "claude-haiku")] == [True, False]
    switch.resume("gpt-4o")
    assert not switch.is_paused("gpt-4o")


async def test_whoever_waits_for_a_change_is_told_of_each() -> None:
    switch = LaneSwitch()
    for change in (switch.pause, switch.resume):
        told = [asyncio.create_task(switch.changed()) for _ in range(2)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in told)
        change("gpt-4o")
        await asyncio.gather(*told)
