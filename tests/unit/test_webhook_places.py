import asyncio

import pytest

from workers.couriers.webhook_places import (
    BACK_EACH_S,
    FAILURES_IN_A_ROW,
    LONGEST_BACK_S,
    MOST_WAITING,
    QUICK_S,
    Places,
    Receiver,
)

ONE = Receiver("red", "https://example.com:443")
OTHER = Receiver("red", "https://example.org:443")


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def answer(places: Places, receiver: Receiver, *, went_well: bool, duration_s: float = 0.0) -> None:
    assert await places.take(receiver)
    with places.held(receiver) as it:
        it.is_known(went_well=went_well, duration_s=duration_s)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://example.com/a?b=c", "https://example.com:443"),
        ("https://EXAMPLE.com:443/", "https://example.com:443"),
        ("http://example.com/a", "http://example.com:80"),
        ("https://example.com:8443/a", "https://example.com:8443"),
        ("https://[::1", "https://[::1"),
    ],
)
def test_a_receiver_is_scheme_host_and_port(url: str, origin: str) -> None:
    assert Receiver.of("red", url) == Receiver("red", origin)
    assert Receiver.of("red", url) != Receiver.of("blue", url)


async def test_a_slow_receiver_has_its_places_and_the_others_have_theirs() -> None:
    places = Places(2)
    await answer(places, ONE, went_well=True, duration_s=QUICK_S)
    assert [await places.take(ONE) for _ in range(3)] == [True, True, False]
    assert await places.take(OTHER)
    with places.held(ONE):
        pass
    assert await places.take(ONE)


async def test_a_team_with_many_slow_receivers_has_its_places_and_the_others_have_theirs() -> None:
    places = Places(2, of_team=3)
    receivers = [Receiver("red", f"https://{number}.example.com:443") for number in range(4)]
    assert [await places.take(receiver) for receiver in receivers] == [True, True, True, False]
    assert [await places.take(Receiver("blue", "https://example.com:443")) for _ in range(3)] == [True, True, False]
    with places.held(receivers[0]):
        pass
    assert [await places.take(receivers[3]) for _ in range(2)] == [True, False]


async def test_who_waits_counts_for_its_team_until_it_gives_up() -> None:
    places = Places(1, of_team=2)
    await answer(places, ONE, went_well=True)
    assert await places.take(ONE)
    waiting = asyncio.create_task(places.take(ONE))
    await settle()
    assert not await places.take(OTHER)
    waiting.cancel()
    await settle()
    assert await places.take(OTHER)
    assert not await places.take(OTHER)


async def test_one_that_fails_has_one_place_until_it_answers_well() -> None:
    places = Places(3)
    for _ in range(FAILURES_IN_A_ROW):
        await answer(places, ONE, went_well=False)
    assert [await places.take(ONE) for _ in range(2)] == [True, False]
    with places.held(ONE) as it:
        it.is_known(went_well=True, duration_s=0.1)
    assert [await places.take(ONE) for _ in range(3)] == [True] * 3


async def test_one_that_fails_now_and_then_keeps_its_places() -> None:
    places = Places(3)
    for went_well in [*[False] * (FAILURES_IN_A_ROW - 1), True, *[False] * (FAILURES_IN_A_ROW - 1)]:
        await answer(places, ONE, went_well=went_well)
    assert [await places.take(ONE) for _ in range(3)] == [True] * 3


async def test_who_finds_no_place_with_a_quick_receiver_comes_back_soon_and_each_after_the_one_before() -> None:
    places = Places(3)
    await answer(places, ONE, went_well=True)
    assert [places.back_in_s(ONE, now=100.0) for _ in range(3)] == [BACK_EACH_S * number for number in (1, 2, 3)]
    assert places.back_in_s(ONE, now=200.0) == BACK_EACH_S, "it does not grow with the times"
    crowd = [places.back_in_s(ONE, now=300.0) for _ in range(round(2 * LONGEST_BACK_S / BACK_EACH_S))]
    assert crowd[-1] == LONGEST_BACK_S


async def test_nobody_can_say_when_there_is_a_place_with_who_is_slow_or_fails_or_while_the_team_has_none() -> None:
    places = Places(3, of_team=1)
    assert places.back_in_s(ONE, now=100.0) is None, "it has never answered"
    await answer(places, ONE, went_well=True, duration_s=QUICK_S)
    assert places.back_in_s(ONE, now=100.0) is None, "it is slow"
    for _ in range(FAILURES_IN_A_ROW):
        await answer(places, ONE, went_well=False)
    assert places.back_in_s(ONE, now=100.0) is None, "it fails"
    await answer(places, ONE, went_well=True)
    assert places.back_in_s(ONE, now=100.0) is not None
    assert await places.take(OTHER)
    assert places.back_in_s(ONE, now=100.0) is None, "its team has no place left"


async def test_a_few_wait_for_a_quick_receiver_and_get_the_places_that_come_free() -> None:
    places = Places(1)
    await answer(places, ONE, went_well=True)
    assert await places.take(ONE)
    waiting = [asyncio.create_task(places.take(ONE)) for _ in range(MOST_WAITING)]
    await settle()
    assert not await places.take(ONE), "more do not wait"
    with places.held(ONE):
        pass
    assert await waiting[0]
    assert not waiting[1].done()
    waiting[1].cancel()
    await settle()
    with places.held(ONE):
        pass
    assert await waiting[2]
    for task in waiting[3:]:
        task.cancel()
    await settle()
    with places.held(ONE):
        pass
    assert await places.take(ONE), "no place is lost"


async def test_who_gives_up_in_the_moment_of_getting_a_place_leaves_it_to_the_next() -> None:
    places = Places(1)
    await answer(places, ONE, went_well=True)
    assert await places.take(ONE)
    first, second = (asyncio.create_task(places.take(ONE)) for _ in range(2))
    await settle()
    with places.held(ONE):
        pass
    first.cancel()
    await settle()
    assert await second


async def test_nobody_waits_for_who_has_never_answered_nor_for_who_has_begun_to_hang(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workers.couriers.webhook_places.LONGEST_WAIT_S", 0.01)
    places = Places(1)
    assert await places.take(ONE)
    assert not await places.take(ONE)
    with places.held(ONE) as it:
        it.is_known(went_well=True, duration_s=0.1)
    assert await places.take(ONE)
    crowd = [asyncio.create_task(places.take(ONE)) for _ in range(3)]
    assert await asyncio.gather(*crowd) == [False] * 3
    late = asyncio.create_task(places.take(ONE))
    await settle()
    assert late.done(), "it does not even begin to wait"
    assert not await late
