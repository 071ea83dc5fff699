from collections import Counter
from itertools import cycle

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.lanes import CLASSES, DEFAULT_WEIGHTS, JobClass, Priority
from shared.domain.turns import SURPLUS_TURNS, Turns

MAIN = [JobClass("interactive"), JobClass("standard"), JobClass("bulk"), JobClass("deferrable.24h")]

weights = st.fixed_dictionaries({priority: st.integers(1, 100) for priority in Priority})


def serve(turns: Turns, ready: list[JobClass], times: int) -> Counter[JobClass]:
    return Counter(turns.next(ready) for _ in range(times))


def longest_wait(job_class: JobClass, weights: dict[Priority, int]) -> int:
    """The turns between two of a class that always has work, whatever the others have."""
    own = job_class.priority
    between = sum(weights[priority] / weights[own] + 1 for priority in Priority if priority is not own)
    siblings = [other for other in CLASSES if other.priority is own and other != job_class]
    share = {other: 1 if other.is_surplus else SURPLUS_TURNS - 1 for other in CLASSES}
    ahead = sum(share[other] / share[job_class] + 1 for other in siblings)
    return round((ahead + 1) * (between + 1)) + 1


def test_classes_that_all_have_work_get_turns_in_proportion_to_their_weights() -> None:
    served = serve(Turns(DEFAULT_WEIGHTS), MAIN, 8_500)
    assert [served[job_class] for job_class in MAIN] == [6_400, 1_600, 400, 100]


def test_a_priority_gets_no_more_turns_for_having_more_classes() -> None:
    served = serve(Turns(DEFAULT_WEIGHTS), list(CLASSES), 8_500)
    by_priority = Counter[Priority]()
    for job_class, times in served.items():
        by_priority[job_class.priority] += times
    assert [by_priority[priority] for priority in Priority] == [6_400, 1_600, 400, 100]


@given(weights)
def test_shares_are_as_the_weights_say(weights: dict[Priority, int]) -> None:
    rounds = 20
    served = serve(Turns(weights), MAIN, rounds * sum(weights.values()))
    assert all(abs(served[job_class] - rounds * weights[job_class.priority]) <= 2 for job_class in MAIN)


def test_the_lowest_class_gets_a_turn_in_every_round() -> None:
    turns = Turns(DEFAULT_WEIGHTS)
    rounds = [serve(turns, MAIN, sum(DEFAULT_WEIGHTS.values())) for _ in range(20)]
    assert all(served[JobClass("deferrable.24h")] >= 1 for served in rounds)


def test_a_class_that_was_idle_has_saved_up_no_turns() -> None:
    turns = Turns(DEFAULT_WEIGHTS)
    serve(turns, [JobClass("bulk")], 1_000)
    served = serve(turns, [JobClass("interactive"), JobClass("bulk")], 68)
    assert served[JobClass("bulk")] in {3, 4}


def test_a_class_alone_with_work_gets_every_turn() -> None:
    assert serve(Turns(DEFAULT_WEIGHTS), [JobClass("deferrable.7d")], 10)[JobClass("deferrable.7d")] == 10


def test_surplus_gets_a_small_share_while_its_sibling_has_work_and_all_turns_while_it_has_none() -> None:
    turns = Turns(DEFAULT_WEIGHTS)
    both = [JobClass("bulk"), JobClass("bulk.surplus")]
    assert serve(turns, both, 1_600) == {JobClass("bulk"): 1_500, JobClass("bulk.surplus"): 100}
    assert serve(turns, [JobClass("bulk.surplus")], 5) == {JobClass("bulk.surplus"): 5}


def test_a_sibling_that_comes_back_is_served_before_the_surplus_goes_on() -> None:
    turns = Turns(DEFAULT_WEIGHTS)
    serve(turns, [JobClass("bulk.surplus")], 1_000)
    both = [JobClass("bulk"), JobClass("bulk.surplus")]
    assert [turns.next(both) for _ in range(SURPLUS_TURNS - 1)] == [JobClass("bulk")] * (SURPLUS_TURNS - 1)


def test_surplus_that_comes_and_goes_gets_no_more_than_its_share() -> None:
    turns = Turns(DEFAULT_WEIGHTS)
    both = [JobClass("bulk"), JobClass("bulk.surplus")]
    served = Counter(turns.next(ready) for ready, _ in zip(cycle([both, both[:1]]), range(1_600), strict=False))
    assert served[JobClass("bulk.surplus")] <= 1_600 // SURPLUS_TURNS + 1


@given(st.lists(st.sets(st.sampled_from(CLASSES), min_size=1), min_size=1, max_size=60))
def test_a_turn_always_goes_to_a_class_that_has_work(rounds: list[set[JobClass]]) -> None:
    turns = Turns(dict.fromkeys(Priority, 1))
    assert all(turns.next(ready) in ready for ready in rounds)


@given(
    weights,
    st.sampled_from(CLASSES),
    st.lists(st.sets(st.sampled_from(CLASSES), min_size=1), min_size=1, max_size=12),
)
def test_every_class_progresses_whatever_the_others_have(
    weights: dict[Priority, int], lowest: JobClass, rounds: list[set[JobClass]]
) -> None:
    """Row 8: the age of the oldest job of any class is bounded, in turns."""
    turns, age, bound = Turns(weights), 0, longest_wait(lowest, weights)
    for others, _ in zip(cycle(rounds), range(3 * min(bound, 2_000)), strict=False):
        age = 0 if turns.next({lowest, *others}) == lowest else age + 1
        assert age <= bound
