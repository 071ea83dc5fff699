import pytest

from shared.domain.rate_limit import Sighting
from shared.domain.sightings import sighting


def test_openais_headers_tell_the_limits_of_a_minute_and_what_is_left() -> None:
    seen = sighting(
        {
            "x-ratelimit-limit-requests": "6000",
            "x-ratelimit-limit-tokens": "600000",
            "x-ratelimit-remaining-requests": "12",
            "x-ratelimit-remaining-tokens": "3400",
        }
    )
    assert seen == Sighting((100.0, 10_000.0, None, None), (12.0, 3_400.0, None, None))


def test_anthropics_headers_tell_input_and_output_tokens_apart() -> None:
    seen = sighting(
        {
            "anthropic-ratelimit-requests-limit": "60",
            "anthropic-ratelimit-input-tokens-limit": "60000",
            "anthropic-ratelimit-input-tokens-remaining": "1000",
            "anthropic-ratelimit-output-tokens-limit": "6000",
            "anthropic-ratelimit-output-tokens-remaining": "0",
        }
    )
    assert seen == Sighting((1.0, None, 1_000.0, 100.0), (None, None, 1_000.0, 0.0))


@pytest.mark.parametrize("text", ["", "many", "-1", "nan"])
def test_what_is_no_amount_is_not_seen(text: str) -> None:
    assert sighting({"x-ratelimit-limit-requests": text}) == Sighting()
