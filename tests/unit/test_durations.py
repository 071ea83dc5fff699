import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("15m", 900), ("24h", 86_400), ("7d", 604_800), ("2w", 1_209_600), ("1h30m", 5_400), ("0.5s", 0.5)],
)
def test_a_duration_means_its_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "s", "1 h", "-1h", "1y", "1h-30m", "1e3s", "\u0661h", "1h\n", "9" * 10 + "s"]
)
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="such as 90s, 30m, 24h, 7d"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "0.25s"), (90, "1m30s"), (5_400, "1h30m"), (604_800, "7d"), (86_401, "1d1s")],
)
def test_seconds_are_written_as_people_write_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(min_value=0, max_value=10**12))
def test_what_is_written_is_read_as_the_same_to_the_millisecond(milliseconds: int) -> None:
    assert round(parse_duration(format_duration(milliseconds / 1_000)) * 1_000) == milliseconds


@pytest.mark.parametrize("seconds", [-1.0, math.inf, math.nan])
def test_what_no_duration_can_say_is_not_written(seconds: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        format_duration(seconds)
