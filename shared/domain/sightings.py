"""What a provider's rate-limit headers say of its own count.

Sources: OpenAI, "Rate limits" (``x-ratelimit-limit-requests`` and siblings); Anthropic, "Rate limits"
(``anthropic-ratelimit-requests-limit`` and siblings). Both tell the limits of a minute.
"""

from collections.abc import Mapping

from shared.domain.rate_limit import KINDS, Sighting, SomeAmounts


def sighting(headers: Mapping[str, str]) -> Sighting:
    """Read the headers of an answer (names in lower case); what is absent or unreadable is not seen."""
    requests, tokens, inputs, outputs = (_of(headers, kind, "limit") for kind in KINDS)
    return Sighting((_a_second(requests), _a_second(tokens), _a_second(inputs), _a_second(outputs)), _left(headers))


def _left(headers: Mapping[str, str]) -> SomeAmounts:
    requests, tokens, inputs, outputs = (_of(headers, kind, "remaining") for kind in KINDS)
    return (requests, tokens, inputs, outputs)


def _of(headers: Mapping[str, str], kind: str, what: str) -> float | None:
    name = kind.replace("_", "-")
    found = _number(headers.get(f"x-ratelimit-{what}-{name}"))
    return _number(headers.get(f"anthropic-ratelimit-{name}-{what}")) if found is None else found


def _a_second(a_minute: float | None) -> float | None:
    return None if a_minute is None else a_minute / 60


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if number >= 0 else None
