"""Who arrives while others are on their way goes in together."""

import asyncio
from collections.abc import Sequence

import pytest

from producer_api.gathering import MOST_TOGETHER, Gathering


class Door:
    """An admission that opens when the test says so."""

    def __init__(self) -> None:
        self.groups: list[tuple[str, list[int]]] = []
        self.opened = asyncio.Event()
        self.entered = asyncio.Event()

    async def admit_all(self, team: str, arrived: Sequence[int]) -> Sequence[int]:
        self.groups.append((team, list(arrived)))
        self.entered.set()
        await self.opened.wait()
        if -1 in arrived:
            raise LookupError("no")
        return [10 * number for number in arrived]


async def test_who_arrives_alone_goes_in_at_once() -> None:
    door = Door()
    door.opened.set()
    gathering = Gathering(door.admit_all)
    assert [await gathering.admit("red", 1), await gathering.admit("red", 2)] == [10, 20]
    assert door.groups == [("red", [1]), ("red", [2])]


async def test_who_arrives_while_another_is_under_way_goes_in_together_and_each_gets_its_own() -> None:
    door = Door()
    gathering = Gathering(door.admit_all)
    results = asyncio.gather(*(gathering.admit("red", number) for number in range(MOST_TOGETHER)))
    await door.entered.wait()
    door.opened.set()
    assert await results == [10 * number for number in range(MOST_TOGETHER)]
    assert door.groups == [("red", [0]), ("red", list(range(1, MOST_TOGETHER)))]


async def test_nobody_waits_long_for_a_group_that_does_not_come_back() -> None:
    door = Door()
    gathering = Gathering(door.admit_all)
    stuck = asyncio.create_task(gathering.admit("red", 1))
    await door.entered.wait()
    door.entered.clear()
    second = asyncio.create_task(gathering.admit("red", 2))
    await door.entered.wait()  # without the first having come back
    door.opened.set()
    assert (await stuck, await second) == (10, 20)


async def test_teams_do_not_travel_together() -> None:
    door = Door()
    door.opened.set()
    gathering = Gathering(door.admit_all)
    await asyncio.gather(*(gathering.admit(team, 1) for team in ("red", "blue")))
    assert sorted(door.groups) == [("blue", [1]), ("red", [1])]


async def test_what_goes_wrong_for_a_group_goes_wrong_for_each_of_it_and_for_nobody_else() -> None:
    door = Door()
    door.opened.set()
    gathering = Gathering(door.admit_all)
    first, *group = await asyncio.gather(
        *(gathering.admit("red", number) for number in (1, 2, -1)), return_exceptions=True
    )
    assert first == 10
    assert [type(result) for result in group] == [LookupError, LookupError]


async def test_one_who_left_does_not_keep_the_others_from_their_results() -> None:
    door = Door()
    gathering = Gathering(door.admit_all)
    gone = asyncio.create_task(gathering.admit("red", 1))
    await door.entered.wait()
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    stays = asyncio.create_task(gathering.admit("red", 2))
    door.opened.set()
    assert await stays == 20
