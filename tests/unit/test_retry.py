import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.job import Attempt
from shared.domain.provider_errors import InvalidRequest, Overloaded, ProviderError, RateLimited
from shared.domain.retry import GiveUp, RetryAfter, RetryDecision, RetryPolicy

POLICY = RetryPolicy(max_attempts=4, base_s=1, cap_s=60)


def highest(low: float, high: float) -> float:
    return high


def attempts(*outcomes: str) -> list[Attempt]:
    return [Attempt("d", 0, 1, outcome) for outcome in outcomes]


def decide(error: ProviderError, history: list[Attempt], *, may_come_back: bool = True) -> RetryDecision:
    return POLICY.after_failure(error, history, may_come_back=may_come_back, now=100, deadline=None, uniform=highest)


def test_the_backoff_doubles_with_each_run_up_to_its_cap() -> None:
    policy = RetryPolicy(max_attempts=99, base_s=1, cap_s=8)
    delays = [
        policy.after_failure(
            Overloaded(), attempts(*["overloaded"] * n), may_come_back=True, now=0, deadline=None, uniform=highest
        )
        for n in range(1, 7)
    ]
    assert delays == [RetryAfter(d) for d in (1, 2, 4, 8, 8, 8)]


def test_a_run_over_many_deployments_counts_once_for_the_backoff() -> None:
    history = [Attempt(name, 0, 1, "overloaded") for name in ("a", "b", "c", "a", "b", "c")]
    assert decide(Overloaded(), history) == RetryAfter(2)


def test_a_lane_is_tried_no_more_than_allowed() -> None:
    assert POLICY.allows(attempts(*["overloaded"] * 3))
    assert not POLICY.allows(attempts(*["overloaded"] * 4))


def test_being_rate_limited_is_not_held_against_a_job() -> None:
    assert POLICY.allows(attempts(*["rate_limited"] * 50, *["overloaded"] * 3))


def test_having_been_a_probe_is_not_held_against_a_job() -> None:
    probes = [Attempt("d", 0, 1, "overloaded", is_probe=True)] * 50
    assert POLICY.allows([*probes, *attempts(*["overloaded"] * 3)])


def test_a_job_that_is_always_rate_limited_ends() -> None:
    assert not POLICY.allows(attempts(*["rate_limited"] * 100))


def test_the_providers_own_wait_is_a_floor() -> None:
    decision = decide(RateLimited(retry_after_s=20), attempts("rate_limited"))
    assert decision == RetryAfter(21)


def test_a_request_that_nothing_can_help_is_given_up() -> None:
    assert isinstance(decide(InvalidRequest(), attempts("invalid_request"), may_come_back=False), GiveUp)


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    history = attempts("overloaded")
    in_time = POLICY.after_failure(Overloaded(), history, may_come_back=True, now=100, deadline=101.5, uniform=highest)
    too_late = POLICY.after_failure(Overloaded(), history, may_come_back=True, now=100, deadline=101, uniform=highest)
    assert (in_time, type(too_late)) == (RetryAfter(1), GiveUp)


@given(st.integers(1, 3), st.floats(0, 1))
def test_the_jitter_is_full(step: int, share: float) -> None:
    decision = POLICY.after_failure(
        Overloaded(),
        attempts(*["overloaded"] * step),
        may_come_back=True,
        now=0,
        deadline=None,
        uniform=lambda low, high: low + share * (high - low),
    )
    assert isinstance(decision, RetryAfter)
    assert decision.delay_s == pytest.approx(share * 2 ** (step - 1))
