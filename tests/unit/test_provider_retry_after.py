"""How long to wait is understood in every way that providers say it."""

import pytest

from shared.adapters.providers.retry_after import LONGEST_WAIT_S, parse_duration_s, rate_limit_headers, read_wait_s

DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("headers", "body", "wait_s"),
    [
        ({}, "", None),
        ({"retry-after": "20"}, "", 20),
        ({"retry-after": "0"}, "", 0),
        ({"retry-after": "1.5"}, "", 1.5),
        ({"retry-after": "20", "retry-after-ms": "1250"}, "", 1.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": DATE}, "", 30),
        ({"retry-after": "Wed, 21 Oct 2026 07:27:00 GMT", "date": DATE}, "", 0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, "", None),
        ({"retry-after": "soon"}, "", None),
        ({"retry-after": "-5"}, "", None),
        ({"retry-after": "nan"}, "", None),
        ({"retry-after": "99999999"}, "", LONGEST_WAIT_S),
        ({}, '{"error": {"details": [{"retryDelay": "17.5s"}]}}', 17.5),
        ({}, "Limit 3, Used 3. Please try again in 6m0.5s. More.", 360.5),
        ({}, "Please try again in 20ms.", 0.02),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m30s"}, "", 90),
        ({"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "1m30s"}, "", None),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "6ms",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "2s",
            },
            "",
            2,
        ),
        (
            {
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2026-10-21T07:28:10Z",
                "date": DATE,
            },
            "",
            10,
        ),
    ],
)
def test_the_wait_is_read(headers: dict[str, str], body: str, wait_s: float | None) -> None:
    assert read_wait_s(headers, body) == (None if wait_s is None else pytest.approx(wait_s))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1m30s", 90),
        ("6ms", 0.006),
        ("1h", 3600),
        ("6m0s", 360),
        ("12", 12),
        ("", None),
        ("x", None),
        ("5 apples", None),
    ],
)
def test_a_duration_is_read_whole_or_not_at_all(text: str, seconds: float | None) -> None:
    assert parse_duration_s(text) == (None if seconds is None else pytest.approx(seconds))


def test_only_the_headers_about_limits_are_kept_in_lower_case() -> None:
    headers = {"X-RateLimit-Limit-Requests": "9", "Retry-After": "1", "Set-Cookie": "a", "anthropic-ratelimit-x": "2"}
    assert rate_limit_headers(headers) == {
        "x-ratelimit-limit-requests": "9",
        "retry-after": "1",
        "anthropic-ratelimit-x": "2",
    }
