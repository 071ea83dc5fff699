"""When and where work is dispatched, as the configuration says it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.domain.circuit import BreakerPolicy
from shared.domain.errors import ConfigurationError
from shared.domain.lanes import DEFERRABLE_WINDOWS
from shared.domain.off_peak import OffPeak
from shared.domain.routing import RoutingStrategy
from shared.wire.config import NEVER_FAILS_SO_OFTEN, Configuration, load
from tests.unit.config_files import CONTRACT, entry, read, read_document


def routed(folder: Path, router: dict[str, Any], litellm: dict[str, Any] | None = None) -> Configuration:
    return read_document(
        folder, {"model_list": [entry()], "router_settings": router, "litellm_settings": litellm or {}}
    )


def ours(folder: Path, section: dict[str, Any]) -> Configuration:
    return read_document(folder, {"model_list": [entry()], "forebay": section})


def refusal(folder: Path, section: dict[str, Any]) -> str:
    with pytest.raises(ConfigurationError) as raised:
        ours(folder, section)
    return raised.value.message


def breaker(folder: Path, router: dict[str, Any], litellm: dict[str, Any] | None = None) -> BreakerPolicy:
    return routed(folder, router, litellm).catalog(lambda _: None).lane("fast").breaker


@pytest.mark.parametrize("strategy", RoutingStrategy)
def test_a_lane_is_routed_as_the_routers_settings_say(tmp_path: Path, strategy: RoutingStrategy) -> None:
    configuration = routed(tmp_path, {"routing_strategy": strategy.value})
    assert configuration.catalog(lambda _: None).lane("fast").strategy is strategy
    assert configuration.warnings == ()


@pytest.mark.parametrize("strategy", ["usage-based-routing", "usage-based-routing-v2"])
def test_routing_by_usage_is_answered_with_the_least_busy_and_a_warning(tmp_path: Path, strategy: str) -> None:
    configuration = routed(tmp_path, {"routing_strategy": strategy})
    assert configuration.catalog(lambda _: None).lane("fast").strategy is RoutingStrategy.LEAST_BUSY
    (warning,) = configuration.warnings
    assert warning.startswith(
        f"router_settings.routing_strategy: {strategy} is not supported; least-busy is used, which like it prefers"
    )


@pytest.mark.parametrize(
    ("router", "litellm", "expected"),
    [
        ({}, {}, BreakerPolicy()),
        ({"allowed_fails": 7, "cooldown_time": 30}, {}, BreakerPolicy(7, 30)),
        ({"cooldown_time": "2m"}, {"allowed_fails": 2}, BreakerPolicy(2, 120)),
        ({"allowed_fails": 7}, {"allowed_fails": 2}, BreakerPolicy(7)),
        ({"allowed_fails": 0}, {"allowed_fails": 2}, BreakerPolicy(0)),
        ({"disable_cooldowns": True, "allowed_fails": 2}, {}, BreakerPolicy(NEVER_FAILS_SO_OFTEN)),
        ({"disable_cooldowns": False}, {}, BreakerPolicy()),
    ],
)
def test_a_deployment_is_left_alone_as_the_settings_say(
    tmp_path: Path, router: dict[str, Any], litellm: dict[str, Any], expected: BreakerPolicy
) -> None:
    assert breaker(tmp_path, router, litellm) == expected


def test_the_documented_off_peak_windows_are_open_at_night_and_on_weekends(tmp_path: Path) -> None:
    keys = {"OPENAI_API_KEY": "sk-one", "FOREBAY_ADMIN_KEY": "fb-one"}
    off_peak = read(tmp_path, CONTRACT, keys).off_peak
    zurich = ZoneInfo("Europe/Zurich")
    assert off_peak == OffPeak.of(["22:00-06:00", "sat", "sun"], zurich)
    assert off_peak.is_open(datetime(2026, 3, 2, 23, tzinfo=zurich).timestamp())
    assert not off_peak.is_open(datetime(2026, 3, 2, 12, tzinfo=zurich).timestamp())


def test_off_peak_windows_without_a_zone_follow_utc(tmp_path: Path) -> None:
    assert ours(tmp_path, {"off_peak": {"windows": ["sat"]}}).off_peak == OffPeak.of(["sat"], UTC)


def test_without_windows_there_is_no_off_peak_and_deferrable_work_leaves_half_of_every_limit() -> None:
    configuration = load(None, {})
    assert configuration.off_peak == OffPeak()
    assert configuration.windows == DEFERRABLE_WINDOWS
    assert configuration.deferrable_idle_share == 0.5


def test_deferrable_windows_are_put_in_order(tmp_path: Path) -> None:
    configuration = ours(tmp_path, {"deferrable_windows": ["12h", "90s", "1h30m"], "deferrable_idle_share": 0.25})
    assert [(window.label, window.seconds) for window in configuration.windows] == [
        ("90s", 90),
        ("1h30m", 5_400),
        ("12h", 43_200),
    ]
    assert configuration.deferrable_idle_share == 0.25
    assert configuration.warnings == ()


DURATION = "a duration of 1s to 49d such as 4h, in at most 8 characters"
SEVERAL = "1 to 16 durations, no two of them equally long"
HOURS = (
    "hours (22:00-06:00), days (sat, or mon-fri) or both (mon-fri 12:00-13:00); "
    "hours from 00:00 to 24:00, the end another than the start"
)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"deferrable_windows": []}, f"deferrable_windows: found a list; allowed: {SEVERAL}"),
        ({"deferrable_windows": ["1h", "60m"]}, f"deferrable_windows: found a list; allowed: {SEVERAL}"),
        (
            {"deferrable_windows": [f"{n}s" for n in range(1, 18)]},
            f"deferrable_windows: found a list; allowed: {SEVERAL}",
        ),
        ({"deferrable_windows": ["1h", "soon"]}, f"deferrable_windows[1]: found 'soon'; allowed: {DURATION}"),
        ({"deferrable_windows": ["0.5s"]}, f"deferrable_windows[0]: found '0.5s'; allowed: {DURATION}"),
        ({"deferrable_windows": ["50d"]}, f"deferrable_windows[0]: found '50d'; allowed: {DURATION}"),
        ({"deferrable_windows": ["000000001h"]}, f"deferrable_windows[0]: found '000000001h'; allowed: {DURATION}"),
        ({"deferrable_windows": [3600]}, f"deferrable_windows[0]: found 3600; allowed: {DURATION}"),
        ({"deferrable_windows": "1h"}, "deferrable_windows: found '1h'; allowed: a list"),
        ({"deferrable_idle_share": 1.5}, "deferrable_idle_share: found 1.5; allowed: at most 1.0"),
        ({"interactive_reserve": 1}, "interactive_reserve: found 1; allowed: at most 0.9"),
        ({"off_peak": {"windows": ["22-06"]}}, f"off_peak.windows[0]: found '22-06'; allowed: {HOURS}"),
        ({"off_peak": {"windows": [720]}}, f"off_peak.windows[0]: found 720; allowed: {HOURS}"),
        (
            {"off_peak": {"timezone": "Europe/Zürich"}},
            "off_peak.timezone: found 'Europe/Zürich'; allowed: the name of a time zone, such as Europe/Zurich or UTC; did you mean Europe/Zurich?",
        ),
        (
            {"off_peak": {"timezone": "../etc"}},
            "off_peak.timezone: found '../etc'; allowed: the name of a time zone, such as Europe/Zurich or UTC",
        ),
        (
            {"off_peak": {"timezone": "Europe"}},
            "off_peak.timezone: found 'Europe'; allowed: the name of a time zone, such as Europe/Zurich or UTC",
        ),
        (
            {"off_peak": {"timezone": 1}},
            "off_peak.timezone: found 1; allowed: the name of a time zone, such as Europe/Zurich or UTC",
        ),
    ],
)  # fmt: skip - a case a line
def test_a_wrong_value_stops_the_start_with_what_is_allowed(
    tmp_path: Path, section: dict[str, Any], message: str
) -> None:
    assert refusal(tmp_path, section) == f"forebay.{message}"


@pytest.mark.parametrize("key", ["num_retries", "allowed_fails"])
def test_what_two_sections_say_differently_is_named_and_the_routers_word_counts(tmp_path: Path, key: str) -> None:
    [warning] = routed(tmp_path, {key: 1}, {key: 5}).warnings
    assert warning == f"litellm_settings.{key}: 5 has no effect; router_settings.{key} says 1, and goes first."
    assert routed(tmp_path, {key: 1}, {key: 1}).warnings == ()


@pytest.mark.parametrize(
    ("section", "limit"),
    [({}, 256 * 1024), ({"files": None}, 256 * 1024), ({"files": {"inline_limit": "1MiB"}}, 1024**2)],
)
def test_what_is_larger_than_the_inline_limit_goes_to_the_file_store(
    tmp_path: Path, section: dict[str, Any], limit: int
) -> None:
    configuration = ours(tmp_path, section)
    assert (configuration.inline_limit, configuration.warnings) == (limit, ())


def test_an_inline_limit_that_cannot_be_is_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path, {"files": {"inline_limit": "64MiB"}})
    assert said.startswith("forebay.files.inline_limit: found '64MiB'; allowed: from 1KiB to 15MiB")
