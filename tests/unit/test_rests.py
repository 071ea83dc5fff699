import pytest

from shared.domain.lanes import JobClass
from workers.rests import LONGEST_REST_S, SHORT_REST_S, Rests, fetched_at_most_s, longest_rest_s

BULK, STANDARD = JobClass("bulk"), JobClass("standard")


def test_a_class_rests_alone() -> None:
    rests = Rests()
    assert rests.begin(BULK, 2.0, now=10.0)
    assert [rests.is_resting(BULK, at) for at in (10.0, 11.9, 12.0)] == [True, True, False]
    assert not rests.is_resting(STANDARD, 10.0)


def test_a_lane_that_rests_lets_all_its_classes_rest() -> None:
    rests = Rests()
    rests.begin(None, 2.0, now=10.0)
    assert rests.is_resting(BULK, 11.0)
    assert rests.is_resting(STANDARD, 11.0)


def test_a_short_rest_keeps_what_was_fetched_and_a_long_one_gives_it_back() -> None:
    for seconds, gives_back in ((SHORT_REST_S, False), (SHORT_REST_S + 1, True)):
        rests = Rests()
        rests.begin(BULK, seconds, now=10.0)
        assert rests.gives_back(BULK, 11.0) is gives_back
        assert not rests.gives_back(BULK, 10.0 + seconds)


def test_a_short_rest_within_a_long_one_changes_nothing() -> None:
    rests = Rests()
    rests.begin(BULK, 30.0, now=10.0)
    assert not rests.begin(BULK, 1.0, now=11.0)
    assert rests.gives_back(BULK, 39.0)
    assert rests.seconds_to_next_end(30.0) == 10.0


def test_the_next_end_is_that_of_the_shortest_rest() -> None:
    rests = Rests()
    assert rests.seconds_to_next_end(0.0) is None
    rests.begin(BULK, 3.0, now=0.0)
    rests.begin(None, 2.0, now=0.0)
    assert [rests.seconds_to_next_end(at) for at in (0.0, 2.0, 3.0)] == [2.0, 1.0, None]


@pytest.mark.parametrize("job_class", [JobClass(f"deferrable.{window}") for window in ("5s", "1m", "1h", "7d")])
def test_what_is_kept_of_a_window_still_leaves_it_time_to_be_done(job_class: JobClass) -> None:
    window = job_class.window
    assert window is not None
    assert window.patience_s + fetched_at_most_s(job_class) < window.seconds
    assert longest_rest_s(job_class) <= min(LONGEST_REST_S, window.margin_s)
