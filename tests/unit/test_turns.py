from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.lanes import CLASSES, DEFAULT_WEIGHTS, JobClass, Priority
from shared.domain.turns import Turns

MAIN = [JobClass("interactive"), JobClass("standard"), JobClass("bulk"), JobClass("deferrable.24h")]


def serve(turns: Turns, ready: list[JobClass], times: int) -> Counter[JobClass]:
    return Counter(turns.next(ready) for _ in range(times))


def test_classes_that_all_have_work_get_turns_in_proportion_to_their_weights() -> None:
    served = serve(Turns(DEFAULT_WEIGHTS), MAIN, 8_500)
    assert [served[job_class] for job_class in MAIN] == [6_400, 1_600, 400, 100]


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


def test_surplus_is_served_only_while_its_sibling_has_nothing() -> None:
    turns = Turns(DEFAULT_WEIGHTS)
    both = [JobClass("bulk"), JobClass("bulk.surplus")]
    assert serve(turns, both, 50) == {JobClass("bulk"): 50}
    assert serve(turns, [JobClass("bulk.surplus")], 5) == {JobClass("bulk.surplus"): 5}


@given(st.lists(st.sets(st.sampled_from(CLASSES), min_size=1), min_size=1, max_size=60))
def test_a_turn_always_goes_to_a_class_that_has_work(rounds: list[set[JobClass]]) -> None:
    turns = Turns(dict.fromkeys(Priority, 1))
    assert all(turns.next(ready) in ready for ready in rounds)
