"""Seats for clients that wait: no team, and no number of teams that take all they can, shuts another out."""

from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import TooManyWaiting
from shared.domain.seats import COME_AGAIN_S, Seats


def fill(seats: Seats, team: str, stack: ExitStack) -> int:
    """Take as many as a team may have; give how many that were."""
    taken = 0
    while True:
        try:
            stack.enter_context(seats.taken(team))
        except TooManyWaiting:
            return taken
        taken += 1


def test_a_team_alone_has_half_of_them() -> None:
    with ExitStack() as stack:
        assert fill(Seats(100), "red", stack) == 50


def test_a_team_that_came_first_leaves_half_of_the_rest_to_the_next_one() -> None:
    seats = Seats(100)
    with ExitStack() as stack:
        assert [fill(seats, team, stack) for team in ("red", "blue", "green")] == [50, 25, 13]
        assert seats.free == 12


def test_teams_that_take_turns_have_the_same_share_and_leave_one_as_large() -> None:
    seats = Seats(90)
    had = {"red": 0, "blue": 0}
    with ExitStack() as stack:
        for team in ("red", "blue") * 90:
            try:
                stack.enter_context(seats.taken(team))
            except TooManyWaiting:
                continue
            had[team] += 1
        assert (had, seats.free) == ({"red": 30, "blue": 30}, 30)


@given(st.integers(1, 10_000))
def test_one_team_never_takes_the_last_seat_if_there_are_two(total: int) -> None:
    seats = Seats(total)
    with ExitStack() as stack:
        fill(seats, "red", stack)
        assert (seats.free > 0) == (total > 1)


@given(st.integers(1, 200), st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=300))
def test_however_teams_come_and_go_there_are_never_more_taken_than_there_are(
    total: int, steps: list[tuple[str, bool]]
) -> None:
    seats = Seats(total)
    taken: dict[str, list[ExitStack]] = {team: [] for team in "abcd"}
    for team, comes in steps:
        before = seats.free
        if not comes:
            if taken[team]:
                taken[team].pop().close()
                assert seats.free == before + 1
            continue
        stack = ExitStack()
        try:
            stack.enter_context(seats.taken(team))
        except TooManyWaiting:
            assert len(taken[team]) >= before
        else:
            assert len(taken[team]) < before
            taken[team].append(stack)
        assert seats.free == total - sum(map(len, taken.values())) >= 0


def test_a_seat_is_free_again_after_its_block_however_that_ended() -> None:
    seats = Seats(2)
    for _ in range(5):
        with pytest.raises(KeyError), seats.taken("red"):
            raise KeyError
    assert seats.free == 2


def test_who_is_refused_is_told_what_was_found_what_is_allowed_and_when_to_come_again() -> None:
    seats = Seats(8)
    with ExitStack() as stack:
        fill(seats, "red", stack)
        with pytest.raises(TooManyWaiting) as refused, seats.taken("red"):
            raise AssertionError
    message = refused.value.message
    assert "4 clients of team red wait" in message
    assert "may hold 8 that wait" in message
    assert "at most as many of one team as are free" in message
    assert refused.value.retry_after_s == COME_AGAIN_S


@pytest.mark.parametrize("open_files", [20_000, 65_536, 1_048_576])
def test_two_thousand_clients_of_one_team_wait_on_one_process(open_files: int) -> None:
    with ExitStack() as stack:
        assert fill(Seats.of(min(open_files, 20_000)), "red", stack) >= 2_000
    assert Seats.of(open_files).total >= 4_000


@pytest.mark.parametrize(
    ("open_files", "total"), [(1, 1), (64, 25), (256, 102), (1_024, 614), (4_096, 3_072), (20_000, 15_795)]
)
def test_a_fifth_of_the_open_files_and_those_for_servers_are_left_to_others(open_files: int, total: int) -> None:
    assert Seats.of(open_files).total == total
