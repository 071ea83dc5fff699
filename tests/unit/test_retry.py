import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import ContextWindowExceeded, InvalidRequest, Overloaded, ProviderError, RateLimited
from shared.domain.job import Attempt
from shared.domain.retry import GiveUp, RetryAfter, RetryDecision, RetryPolicy

POLICY = RetryPolicy(max_attempts=4, base_s=1, cap_s=60)


def highest(low: float, high: float) -> float:
    return high


def attempts(*outcomes: str) -> list[Attempt]:
    return [Attempt("d", 0, 1, outcome) for outcome in outcomes]


def decide(error: ProviderError, history: list[Attempt], *, others_left: bool = False) -> RetryDecision:
    return POLICY.after_failure(error, history, others_left=others_left, now=100, deadline=None, uniform=highest)


def test_the_backoff_doubles_up_to_its_cap() -> None:
    policy = RetryPolicy(max_attempts=99, base_s=1, cap_s=8)
    delays = [
        policy.after_failure(
            Overloaded(), attempts(*["overloaded"] * n), others_left=False, now=0, deadline=None, uniform=highest
        )
        for n in range(1, 7)
    ]
    assert delays == [RetryAfter(d) for d in (1, 2, 4, 8, 8, 8)]


def test_a_job_is_given_up_after_its_last_attempt() -> None:
    assert isinstance(decide(Overloaded(), attempts(*["overloaded"] * 3)), RetryAfter)
    assert isinstance(decide(Overloaded(), attempts(*["overloaded"] * 4)), GiveUp)


def test_being_rate_limited_is_not_held_against_a_job() -> None:
    history = attempts(*["rate_limited"] * 50, *["overloaded"] * 3)
    assert isinstance(decide(Overloaded(), history), RetryAfter)
    assert isinstance(decide(RateLimited(), history), RetryAfter)


def test_a_job_that_is_always_rate_limited_ends() -> None:
    assert isinstance(decide(RateLimited(), attempts(*["rate_limited"] * 100)), GiveUp)


def test_the_providers_own_wait_is_a_floor() -> None:
    decision = decide(RateLimited(retry_after_s=20), attempts("rate_limited"))
    assert decision == RetryAfter(21)


def test_a_request_that_no_one_can_answer_is_not_tried_again() -> None:
    assert isinstance(decide(InvalidRequest(), attempts("invalid_request"), others_left=True), GiveUp)


def test_where_only_another_deployment_helps_it_is_tried_at_once() -> None:
    history = attempts("context_length_exceeded")
    assert decide(ContextWindowExceeded(), history, others_left=True) == RetryAfter(0)
    assert isinstance(decide(ContextWindowExceeded(), history), GiveUp)


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    history = attempts("overloaded")
    in_time = POLICY.after_failure(Overloaded(), history, others_left=False, now=100, deadline=101.5, uniform=highest)
    too_late = POLICY.after_failure(Overloaded(), history, others_left=False, now=100, deadline=101, uniform=highest)
    assert (in_time, type(too_late)) == (RetryAfter(1), GiveUp)


@given(st.integers(1, 3), st.floats(0, 1))
def test_the_jitter_is_full(step: int, share: float) -> None:
    decision = POLICY.after_failure(
        Overloaded(),
        attempts(*["overloaded"] * step),
        others_left=False,
        now=0,
        deadline=None,
        uniform=lambda low, high: low + share * (high - low),
    )
    assert isinstance(decision, RetryAfter)
    assert decision.delay_s == pytest.approx(share * 2 ** (step - 1))
