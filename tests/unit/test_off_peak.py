from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.off_peak import OffPeak, WeeklyWindow

ZURICH: Final = ZoneInfo("Europe/Zurich")


def at(text: str, fold: int = 0) -> float:
    """Give a moment of the clocks in Zurich, ``2026-03-02 23:15``, as seconds since the epoch."""
    return datetime.fromisoformat(text).replace(tzinfo=ZURICH, fold=fold).timestamp()


def shown(moment: float | None) -> str:
    """Write a moment as the clocks in Zurich show it, with their offset."""
    assert moment is not None
    return datetime.fromtimestamp(moment, ZURICH).strftime("%a %Y-%m-%d %H:%M %z")


def zurich(*windows: str) -> OffPeak:
    return OffPeak.of(windows, ZURICH)


@pytest.mark.parametrize(
    ("window", "inside", "outside"),
    [
        ("12:00-13:00", ["2026-03-02 12:00", "2026-03-08 12:59"], ["2026-03-02 11:59", "2026-03-02 13:00"]),
        ("22:00-06:00", ["2026-03-02 22:00", "2026-03-03 05:59"], ["2026-03-02 21:59", "2026-03-03 06:00"]),
        ("22:00-24:00", ["2026-03-02 23:59"], ["2026-03-03 00:00"]),
        ("22:00-00:00", ["2026-03-02 23:59"], ["2026-03-03 00:00"]),
        ("sat", ["2026-03-07 00:00", "2026-03-07 23:59"], ["2026-03-06 23:59", "2026-03-08 00:00"]),
        ("mon-fri 12:00-13:00", ["2026-03-02 12:30", "2026-03-06 12:30"], ["2026-03-07 12:30", "2026-03-02 13:30"]),
        ("fri-mon", ["2026-03-06 08:00", "2026-03-08 08:00", "2026-03-09 08:00"], ["2026-03-05 08:00"]),
        ("Fri 22:00-06:00", ["2026-03-06 23:00", "2026-03-07 05:00"], ["2026-03-06 05:00", "2026-03-07 23:00"]),
        ("sun 22:00-06:00", ["2026-03-09 05:00"], ["2026-03-08 05:00"]),
    ],
)
def test_a_window_is_open_within_its_hours_of_its_days(window: str, inside: list[str], outside: list[str]) -> None:
    off_peak = zurich(window)
    assert [moment for moment in inside if not off_peak.is_open(at(moment))] == []
    assert [moment for moment in outside if off_peak.is_open(at(moment))] == []


def test_one_open_window_of_several_is_enough() -> None:
    off_peak = zurich("22:00-06:00", "sat", "sun", "mon-fri 12:00-13:00")
    assert off_peak.is_open(at("2026-03-07 15:00"))
    assert off_peak.is_open(at("2026-03-04 12:30"))
    assert not off_peak.is_open(at("2026-03-04 15:00"))


def test_where_nothing_is_configured_it_is_never_off_peak() -> None:
    assert not OffPeak().is_open(at("2026-03-07 03:00"))
    assert OffPeak().next_opening(at("2026-03-07 03:00")) is None


@pytest.mark.parametrize(
    ("windows", "now", "opens"),
    [
        (("22:00-06:00",), "2026-03-02 12:00", "Mon 2026-03-02 22:00 +0100"),
        (("22:00-06:00",), "2026-03-02 23:30", "Mon 2026-03-02 23:30 +0100"),
        (("sat", "sun"), "2026-03-02 12:00", "Sat 2026-03-07 00:00 +0100"),
        (("sat", "mon-fri 12:00-13:00"), "2026-03-06 13:00", "Sat 2026-03-07 00:00 +0100"),
        (("mon 12:00-13:00",), "2026-03-02 13:00", "Mon 2026-03-09 12:00 +0100"),
    ],
)
def test_the_next_opening_is_the_first_moment_within_a_window(windows: tuple[str, ...], now: str, opens: str) -> None:
    assert shown(zurich(*windows).next_opening(at(now))) == opens


def test_in_the_night_of_spring_a_window_has_an_hour_less() -> None:
    off_peak = zurich("22:00-06:00")
    opens, closes = at("2026-03-28 22:00"), at("2026-03-29 06:00")
    assert closes - opens == 7 * 3600
    assert all(off_peak.is_open(moment) for moment in (opens, at("2026-03-29 03:00"), closes - 1))
    assert not off_peak.is_open(closes)


def test_in_the_night_of_autumn_a_window_has_an_hour_more() -> None:
    off_peak = zurich("22:00-06:00")
    opens, closes = at("2026-10-24 22:00"), at("2026-10-25 06:00")
    assert closes - opens == 9 * 3600
    assert all(off_peak.is_open(opens + hour * 3600) for hour in range(9))
    assert not off_peak.is_open(closes)


def test_a_window_that_begins_in_the_skipped_hour_opens_when_the_clocks_are_changed() -> None:
    opens = zurich("02:30-04:00").next_opening(at("2026-03-29 01:00"))
    assert shown(opens) == "Sun 2026-03-29 03:00 +0200"


def test_a_window_within_the_skipped_hour_is_left_out_that_night() -> None:
    off_peak = zurich("02:15-02:45")
    assert shown(off_peak.next_opening(at("2026-03-29 01:00"))) == "Mon 2026-03-30 02:15 +0200"
    assert shown(zurich("sun 02:15-02:45").next_opening(at("2026-03-29 01:00"))) == "Sun 2026-04-05 02:15 +0200"


def test_a_window_within_the_repeated_hour_opens_twice_that_night() -> None:
    off_peak = zurich("02:15-02:45")
    first = off_peak.next_opening(at("2026-10-25 01:00"))
    assert shown(first) == "Sun 2026-10-25 02:15 +0200"
    assert shown(off_peak.next_opening(at("2026-10-25 02:45"))) == "Sun 2026-10-25 02:15 +0100"


def test_a_window_opens_again_when_the_clocks_are_set_back_into_it() -> None:
    opens = zurich("01:30-02:30").next_opening(at("2026-10-25 02:30"))
    assert shown(opens) == "Sun 2026-10-25 02:00 +0100"


@pytest.mark.parametrize(
    "window",
    [
        *("", " ", "weekend", "22-06", "22:00", "9:00-10:00", "25:00-26:00", "12:60-13:00", "12:00-12:00"),
        *("24:00-06:00", "sat12:00-13:00", "sat,sun", "mon-", "22:00-06:00 sat", "00:00-24:01", "sat sun"),
    ],
)
def test_what_is_no_window_is_refused_with_what_is_one(window: str) -> None:
    with pytest.raises(ValueError, match=r"hours \(22:00-06:00\), days \(sat, or mon-fri\) or both"):
        WeeklyWindow.of(window)


def test_without_a_zone_the_clocks_are_those_of_utc() -> None:
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()
    assert OffPeak.of(["12:00-13:00"]).is_open(noon)
    assert not zurich("12:00-13:00").is_open(noon)


MINUTES: Final = st.integers(0, 24 * 60 - 1)
WINDOWS: Final = st.builds(
    WeeklyWindow, st.frozensets(st.integers(0, 6), min_size=1), MINUTES, MINUTES.filter(bool) | st.just(24 * 60)
)
ZONES: Final = st.sampled_from(["Europe/Zurich", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "UTC"])


@given(
    st.lists(WINDOWS, min_size=1, max_size=3),
    ZONES.map(ZoneInfo),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds are naive
)
def test_before_the_next_opening_it_is_never_off_peak_and_then_it_is(
    windows: list[WeeklyWindow], zone: ZoneInfo, now: datetime
) -> None:
    off_peak, moment = OffPeak(tuple(windows), zone), now.timestamp()
    opens = off_peak.next_opening(moment)
    assert opens is not None
    assert moment <= opens
    assert off_peak.is_open(opens)
    span = int(opens - moment)
    assert not any(off_peak.is_open(moment + second) for second in range(0, span, max(60, span // 500)))
    assert opens == moment or not off_peak.is_open(opens - 0.5)
