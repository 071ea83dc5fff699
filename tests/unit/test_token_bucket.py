import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.token_bucket import DAY_S, MINUTE_S, Refused, TokenBucket, Turn, take

NOW = 1_700_000_000.0


def bucket(capacity: float = 60, level: float | None = None) -> TokenBucket:
    full = TokenBucket.full(capacity, MINUTE_S, NOW)
    return full if level is None else full.moved(level - capacity)


def test_all_is_taken_or_nothing() -> None:
    full, empty = bucket(), bucket(level=0)
    answer, after = take([full, empty], [1, 1], 0)
    assert (answer, after) == (Refused(1, 1.0), (full, empty))


def test_the_longest_wait_is_the_one_that_counts() -> None:
    answer, after = take([bucket(level=0), bucket(level=-1)], [1, 1], 60)
    assert answer == Turn(2.0)
    assert [left.level for left in after] == [-1, -2]


def test_nobody_waits_for_a_bucket_that_nothing_flows_into() -> None:
    shut = TokenBucket.full(0, DAY_S, NOW)
    assert take([bucket(level=-50), shut], [1, 1], 1e9)[0] == Refused(1, DAY_S)
    assert take([shut], [0], 0)[0] == Turn()


def test_a_clock_that_went_back_changes_nothing() -> None:
    assert bucket(level=3).advanced(NOW - 600) == bucket(level=3)


def test_a_bucket_is_full_again_after_a_window_at_most_and_no_fuller() -> None:
    assert bucket(level=0).full_in_s == MINUTE_S
    assert bucket(level=0).advanced(NOW + 600).level == 60


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0, 7.0, 61.0]), st.sampled_from([1.0, 3.0, 60.0])), max_size=60))
def test_no_window_passes_more_than_twice_the_limit(steps: list[tuple[float, float]]) -> None:
    """What is larger than the whole bucket apart."""
    now, left, passed = NOW, bucket(), list[tuple[float, float]]()
    for seconds, amount in steps:
        now += seconds
        answer, (left,) = take([left.advanced(now)], [amount], 0)
        if isinstance(answer, Turn):
            passed.append((now, amount))
    for start, _ in passed:
        assert sum(amount for at, amount in passed if start <= at < start + MINUTE_S) <= 120 + 1e-6


@pytest.mark.parametrize("patience", [0.0, 1.0])
def test_a_turn_that_comes_when_patience_ends_is_too_late(patience: float) -> None:
    assert isinstance(take([bucket(level=0)], [1], patience)[0], Refused)
    assert take([bucket(level=0)], [1], 1.001)[0] == Turn(1.0)
