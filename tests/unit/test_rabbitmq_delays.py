import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.rabbitmq.delays import Leg
from shared.adapters.rabbitmq.names import RUNGS


def rungs_of(delay_s: float) -> list[int]:
    """Give every rung that a message with this delay waits in."""
    legs = [Leg.of(delay_s)]
    while legs[-1].left_s:
        legs.append(Leg.of(legs[-1].left_s))
    return [leg.rung_s for leg in legs]


@pytest.mark.parametrize(
    ("delay_s", "rungs"),
    [
        (0.4, [1]),
        (1.0, [1]),
        (1.4, [2]),
        (3.0, [2, 1]),
        (5.0, [4, 1]),
        (300.0, [256, 32, 8, 4]),
        (600.0, [512, 64, 16, 8]),
        (7_200.0, [3_600, 3_600]),
        (86_400.0, [3_600] * 24),
    ],
)
def test_a_delay_goes_down_the_ladder_by_the_longest_rungs(delay_s: float, rungs: list[int]) -> None:
    assert rungs_of(delay_s) == rungs


@given(delay_s=st.floats(min_value=0.001, max_value=200_000))
def test_any_delay_is_kept_and_ends_within_a_second_of_its_time(delay_s: float) -> None:
    rungs = rungs_of(delay_s)
    assert set(rungs) <= set(RUNGS)
    assert delay_s <= sum(rungs) < delay_s + 1
