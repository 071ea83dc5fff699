"""The headers of a synchronous call."""

import pytest

from producer_api.call_wishes import DEFAULT_TIMEOUT_S, CallWish
from shared.domain.errors import InvalidInput, Unsupported
from shared.domain.lanes import Priority


def test_without_headers_a_call_is_interactive_and_waits_for_ten_minutes() -> None:
    wish = CallWish.of({"authorization": "Bearer fb-x", "x-stainless-lang": "python"})
    assert (wish.priority, wish.timeout_s) == (Priority.INTERACTIVE, DEFAULT_TIMEOUT_S)
    assert wish.cache.mode is None
    assert (wish.attribution.project, wish.attribution.feature, wish.attribution.user) == (None, None, None)


def test_every_header_is_read() -> None:
    wish = CallWish.of(
        {
            "x-forebay-priority": "Deferrable",
            "x-forebay-cache": "refresh",
            "x-forebay-project": "p",
            "x-forebay-feature": "f",
            "x-forebay-user": "Zoë".encode().decode("latin-1"),
            "x-forebay-timeout": "2m",
        }
    )
    assert (wish.priority, wish.cache.mode, wish.timeout_s) == (Priority.DEFERRABLE, "refresh", 120.0)
    assert (wish.attribution.project, wish.attribution.feature, wish.attribution.user) == ("p", "f", "Zoë")


@pytest.mark.parametrize(("text", "seconds"), [("30", 30.0), ("0.5", 0.5), ("90s", 90.0), ("1h", 3_600.0), (" 5 ", 5)])
def test_a_timeout_is_seconds_or_a_duration(text: str, seconds: float) -> None:
    assert CallWish.of({"x-forebay-timeout": text}).timeout_s == seconds


@pytest.mark.parametrize(
    ("clients", "seconds"),
    [("600", 599.0), ("600.0", 599.0), ("5", 4.5), ("1e9", 3_600.0), ("inf", 3_600.0)]
    + [(text, DEFAULT_TIMEOUT_S) for text in ("nan", "0", "-1", "soon", "")],
)
def test_a_client_that_tells_its_own_timeout_is_answered_before_it(clients: str, seconds: float) -> None:
    told = {"x-stainless-read-timeout": clients}
    assert CallWish.of(told).timeout_s == seconds
    assert CallWish.of(told | {"x-forebay-timeout": "30m"}).timeout_s == 1_800.0


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("x-forebay-timeout", "0", "at most 1h"),
        ("x-forebay-timeout", "-1", "at most 1h"),
        ("x-forebay-timeout", "2h", "found `2h`"),
        ("x-forebay-timeout", "nan", "found `nan`"),
        ("x-forebay-timeout", "1e9", "found `1e9`"),
        ("x-forebay-timeout", "", "at most 1h"),
        ("x-forebay-timeout", "soon", "found `soon`"),
        ("x-forebay-priority", "urgent", "`interactive`, `standard`, `bulk`, `deferrable`; found `urgent`"),
        ("x-forebay-cache", "on", "`exact`, `refresh`, `off`; found `on`"),
        ("x-forebay-project", "", "1 to 256 characters; found 0"),
        ("x-forebay-user", "u" * 257, "1 to 256 characters; found 257"),
        ("x-forebay-prioritty", "bulk", "not known here; allowed: `x-forebay-priority`, `x-forebay-cache`"),
    ],
)
def test_a_wrong_header_is_named_with_what_is_allowed(name: str, value: str, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        CallWish.of({name: value})
    assert refused.value.param == name
    assert said in refused.value.message


@pytest.mark.parametrize(("name", "value"), [("x-forebay-tags", "doc:7"), ("x-forebay-cache", "semantic")])
def test_what_nothing_keeps_yet_is_refused_rather_than_ignored(name: str, value: str) -> None:
    with pytest.raises(Unsupported, match="not supported yet") as refused:
        CallWish.of({name: value})
    assert refused.value.param == name
