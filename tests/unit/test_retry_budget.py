import pytest

from shared.domain.retry_budget import ALWAYS_PER_S, MOST_SAVED, PER_FIRST_ATTEMPT, RetryBudget


def test_a_few_failures_are_retried_at_once() -> None:
    budget = RetryBudget()
    assert [budget.delay_s(0.0) for _ in range(int(MOST_SAVED))] == [0.0] * int(MOST_SAVED)


@pytest.mark.hazard(17)
def test_when_everything_fails_retries_add_only_their_share_and_a_trickle() -> None:
    budget = RetryBudget()
    seconds, begun = 100, 0
    for second in range(seconds):
        for _ in range(100):
            budget.pay_in()
            begun += budget.delay_s(float(second)) == 0.0
    assert begun <= MOST_SAVED + seconds * (100 * PER_FIRST_ATTEMPT + ALWAYS_PER_S)


def test_who_overdraws_waits_for_those_before() -> None:
    budget = RetryBudget()
    delays = [budget.delay_s(0.0) for _ in range(int(MOST_SAVED) + 10)]
    assert delays[-1] == 10 / ALWAYS_PER_S
    assert delays == sorted(delays)


def test_time_pays_back() -> None:
    budget = RetryBudget()
    for _ in range(int(MOST_SAVED) + 10):
        budget.delay_s(0.0)
    assert budget.delay_s(11 / ALWAYS_PER_S) == 0.0
