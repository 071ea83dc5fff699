from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.fallback_chain import chain_of, loop_in

LANES: Final = "abcdefg"
ANY: Final = st.dictionaries(st.sampled_from(LANES), st.lists(st.sampled_from(LANES), max_size=4))
LOOPLESS: Final = st.dictionaries(st.sampled_from(LANES), st.lists(st.sampled_from(LANES), max_size=4)).map(
    lambda successors: {lane: [name for name in names if name > lane] for lane, names in successors.items()}
)


def test_each_fallback_is_followed_by_its_own_chain() -> None:
    successors = {"a": ["b", "c"], "b": ["d"], "d": ["e"], "c": ["f"]}
    assert chain_of("a", successors) == ("b", "d", "e", "c", "f")


def test_a_lane_comes_once_where_it_comes_first() -> None:
    assert chain_of("a", {"a": ["b", "c", "d"], "b": ["c"]}) == ("b", "c", "d")


def test_a_lane_without_successors_has_no_chain() -> None:
    assert chain_of("a", {"b": ["a"]}) == ()


@given(ANY, st.sampled_from(LANES))
def test_a_chain_ends_and_repeats_nothing_whatever_is_configured(
    successors: Mapping[str, Sequence[str]], first: str
) -> None:
    chain = chain_of(first, successors)
    assert len({first, *chain}) == len(chain) + 1


@given(LOOPLESS, st.sampled_from(LANES))
def test_a_chain_without_loops_is_the_successors_with_their_chains(
    successors: Mapping[str, Sequence[str]], first: str
) -> None:
    spelt_out = [name for next_ in successors.get(first, ()) for name in (next_, *chain_of(next_, successors))]
    assert chain_of(first, successors) == tuple(dict.fromkeys(spelt_out))


def test_a_long_chain_is_no_deep_recursion() -> None:
    successors = {str(number): [str(number + 1)] for number in range(5_000)}
    assert len(chain_of("0", successors)) == 5_000
    assert loop_in(successors) is None


def test_a_loop_is_spelt_out_from_a_lane_back_to_it() -> None:
    assert loop_in({"start": ["a"], "a": ["b", "c"], "c": ["d"], "d": ["a"]}) == ("a", "c", "d", "a")


def test_a_lane_that_follows_itself_is_a_loop() -> None:
    assert loop_in({"a": ["a"]}) == ("a", "a")


def test_two_ways_to_one_lane_are_no_loop() -> None:
    assert loop_in({"a": ["b", "c"], "b": ["d"], "c": ["d"]}) is None


@given(ANY)
def test_a_loop_is_found_exactly_where_there_is_one(successors: Mapping[str, Sequence[str]]) -> None:
    loop = loop_in(successors)
    reached = {
        lane: {name for next_ in names for name in (next_, *chain_of(next_, successors))}
        for lane, names in successors.items()
    }
    assert (loop is not None) == any(lane in names for lane, names in reached.items())
    if loop is not None:
        assert loop[0] == loop[-1]
        assert all(after in successors[before] for before, after in pairwise(loop))
