from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.circuit import (
    FIRST_WINDOW,
    LONGEST_COOLDOWN_S,
    PROBE_RECHECK_S,
    RAMPED_AT,
    BreakerPolicy,
    BreakerState,
    Circuit,
    Health,
)

POLICY = BreakerPolicy(allowed_fails=3, cooldown_s=5)


def after(circuit: Circuit, *healths: Health, now: float = 100.0) -> Circuit:
    for health in healths:
        circuit = circuit.after(health, now, POLICY, now)
    return circuit


def opened(at: float = 100.0) -> Circuit:
    return after(Circuit(), *[Health.BAD] * 4, now=at)


def test_the_allowed_failures_are_borne_and_one_more_opens_it() -> None:
    assert after(Circuit(), *[Health.BAD] * 3).state(100) is BreakerState.CLOSED
    assert opened().state(100) is BreakerState.OPEN


def test_a_success_forgives_the_failures_before_it() -> None:
    mixed = after(Circuit(), *([Health.BAD] * 3 + [Health.GOOD]) * 5)
    assert mixed == Circuit()


def test_an_open_breaker_says_when_it_may_be_probed() -> None:
    assert opened(100).wait_s([], 101) == pytest.approx(4)
    assert opened(100).wait_s([], 105) == 0
    assert opened(100).state(105) is BreakerState.HALF_OPEN


def test_one_probe_goes_at_a_time() -> None:
    """Row 18: a herd does not fall upon what has just come back."""
    assert opened(100).wait_s([105.0], 105) == PROBE_RECHECK_S


def test_a_probe_that_was_lost_with_its_worker_is_followed_by_another() -> None:
    assert opened(100).wait_s([105.0], 164) == PROBE_RECHECK_S
    assert opened(100).wait_s([105.0], 166) == 0


def test_calls_from_before_the_outage_that_hang_still_keep_no_probe_back() -> None:
    assert opened(100).wait_s([99.0] * 50, 105) == 0


@pytest.mark.hazard(18)
def test_each_failed_probe_doubles_the_cooldown_up_to_its_bound() -> None:
    circuit, now, cooldowns = opened(100), 100.0, []
    for _ in range(6):
        cooldowns.append(circuit.open_until - now)
        now = circuit.open_until
        circuit = after(circuit, Health.BAD, now=now)
    assert cooldowns == [5, 10, 20, 40, LONGEST_COOLDOWN_S, LONGEST_COOLDOWN_S]


def test_after_a_good_probe_the_calls_at_once_grow_one_by_one() -> None:
    circuit = after(opened(100), Health.GOOD, now=105)
    windows = []
    while circuit.window:
        assert circuit.state(106) is BreakerState.RAMPING
        assert circuit.wait_s([106.0] * (circuit.window - 1), 106) == 0
        assert circuit.wait_s([106.0] * circuit.window, 106) == PROBE_RECHECK_S
        windows.append(circuit.window)
        circuit = after(circuit, Health.GOOD, now=106)
    assert windows == list(range(FIRST_WINDOW, RAMPED_AT))
    assert circuit == Circuit(opened_at=100)


def test_a_failure_during_the_ramp_is_borne_and_as_many_in_a_row_as_open_it_open_it_for_longer() -> None:
    ramping = after(after(opened(100), Health.GOOD, now=105), *[Health.GOOD] * 10, now=106)
    assert after(ramping, Health.BAD, now=107).window == ramping.window
    circuit = after(ramping, *[Health.BAD] * 4, now=107)
    assert (circuit.state(107), circuit.open_until) == (BreakerState.OPEN, 117)


def test_a_provider_that_fails_now_and_then_is_called_fully_again() -> None:
    circuit, calls = after(opened(100), Health.GOOD, now=105), 0
    while circuit.window:
        calls += 1
        circuit = after(circuit, Health.BAD if calls % 20 == 0 else Health.GOOD, now=106)
        assert circuit.state(106) is not BreakerState.OPEN
        assert calls < 1_000


@pytest.mark.parametrize("health", Health)
def test_the_end_of_a_call_from_before_the_outage_is_no_news(health: Health) -> None:
    circuit = opened(100)
    assert circuit.after(health, 99.0, POLICY, 130.0) == circuit


def test_a_cancelled_call_says_nothing() -> None:
    circuit = after(Circuit(), *[Health.BAD] * 3)
    assert after(circuit, Health.UNKNOWN) == circuit


@given(st.lists(st.tuples(st.sampled_from(Health), st.floats(0, 20)), max_size=80))
def test_whatever_happens_it_is_probed_again_within_the_longest_cooldown(ends: list[tuple[Health, float]]) -> None:
    circuit, now = Circuit(), 100.0
    for health, passed in ends:
        now += passed
        circuit = circuit.after(health, now, POLICY, now)
        assert circuit.open_until <= now + LONGEST_COOLDOWN_S
        assert 0 <= circuit.window < RAMPED_AT
        assert replace(circuit, open_until=0.0).wait_s([], now) == 0
