"""What a provider's ``x-ratelimit-*`` headers say of its own count.

Source: OpenAI, "Rate limits" (headers ``x-ratelimit-limit-requests`` and siblings: limits are a minute's).
"""

from collections.abc import Mapping

from shared.domain.rate_limit import Sighting

_KINDS = ("requests", "tokens")


def sighting(headers: Mapping[str, str]) -> Sighting:
    """Read the headers of an answer (names in lower case); what is absent or unreadable is not seen."""
    limits = [_number(headers.get(f"x-ratelimit-limit-{kind}")) for kind in _KINDS]
    left = [_number(headers.get(f"x-ratelimit-remaining-{kind}")) for kind in _KINDS]
    per_second = [None if limit is None else limit / 60 for limit in limits]
    return Sighting((per_second[0], per_second[1]), (left[0], left[1]))


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if number >= 0 else None
