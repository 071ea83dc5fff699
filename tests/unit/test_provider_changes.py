"""When it is said that a provider went down, and that it is back."""

from dataclasses import replace

import pytest

from shared.domain.circuit import FIRST_WINDOW, RAMPED_AT, BreakerPolicy, BreakerState, Circuit, Health
from shared.domain.provider_changes import (
    STEADY_AFTER_S,
    ProviderChange,
    ProviderStatus,
    change_after,
    never_down,
)

POLICY = BreakerPolicy(allowed_fails=0, cooldown_s=5)
OPENED_AT = 100.0
UP = never_down("gpt-4o", "openai/0")
DOWN = ProviderChange("gpt-4o", "openai/0", ProviderStatus.DOWN, OPENED_AT, is_told=True)


def after(circuit: Circuit, *healths: Health, now: float) -> Circuit:
    for health in healths:
        circuit = circuit.after(health, now, POLICY, now)
    return circuit


OPEN = after(Circuit(), Health.BAD, now=OPENED_AT)
RAMPING = after(OPEN, Health.GOOD, now=106.0)
CLOSED = after(RAMPING, *[Health.GOOD] * (RAMPED_AT - FIRST_WINDOW), now=107.0)


def test_a_provider_is_down_from_the_moment_its_breaker_opened() -> None:
    assert change_after(UP, OPEN, 103.0) == replace(DOWN, is_told=False)


def test_a_breaker_that_waits_for_its_probe_is_as_down_as_before() -> None:
    assert OPEN.state(105.0) is BreakerState.HALF_OPEN
    assert change_after(UP, OPEN, 105.0) == replace(DOWN, is_told=False)
    assert change_after(DOWN, OPEN, 105.0) is None


def test_a_probe_that_fails_is_no_news() -> None:
    assert change_after(DOWN, after(OPEN, Health.BAD, now=105.0), 106.0) is None


def test_a_provider_is_back_when_its_breaker_has_closed_and_not_at_the_first_good_probe() -> None:
    assert (RAMPING.state(107.0), CLOSED.state(107.0)) == (BreakerState.RAMPING, BreakerState.CLOSED)
    assert change_after(DOWN, RAMPING, 107.0) is None
    assert change_after(DOWN, CLOSED, 107.0) == ProviderChange("gpt-4o", "openai/0", ProviderStatus.UP, 107.0)


def test_a_provider_with_few_calls_is_back_when_it_has_not_failed_for_long() -> None:
    assert change_after(DOWN, RAMPING, OPENED_AT + STEADY_AFTER_S - 1) is None
    back = change_after(DOWN, RAMPING, OPENED_AT + STEADY_AFTER_S)
    assert back is not None
    assert back.status is ProviderStatus.UP
    assert change_after(back, RAMPING, OPENED_AT + STEADY_AFTER_S + 5) is None


def test_a_provider_that_was_never_said_to_be_down_is_not_said_to_be_back() -> None:
    for circuit in (Circuit(), RAMPING, CLOSED):
        assert change_after(UP, circuit, 1_000.0) is None


def test_a_breaker_that_is_forgotten_is_closed() -> None:
    back = change_after(DOWN, Circuit(), 90_000.0)
    assert back is not None
    assert back.status is ProviderStatus.UP


@pytest.mark.parametrize(
    "other",
    [
        replace(DOWN, lane="gpt-4"),
        replace(DOWN, deployment="openai/1"),
        replace(DOWN, status=ProviderStatus.UP),
        replace(DOWN, since=OPENED_AT + 0.0001),
    ],
)
def test_the_id_of_a_change_follows_from_all_that_it_is_and_not_from_who_was_told(other: ProviderChange) -> None:
    assert replace(DOWN, is_told=False).id == DOWN.id != other.id
