"""The tokens of a call, as the provider counted them in its answer."""

from collections.abc import Mapping
from typing import Any

from shared.domain.usage import Usage


def read_usage(body: Mapping[str, Any]) -> Usage | None:
    """Read an answer's ``usage``; None where it is missing or makes no sense: nothing is guessed.

    DeepSeek's name for the cached part of the prompt is understood too.
    """
    counted = body.get("usage")
    if not isinstance(counted, Mapping):
        return None
    prompt = _count(counted.get("prompt_tokens"))
    if prompt is None:
        return None
    details = counted.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, Mapping) else None
    if cached is None:
        cached = _count(counted.get("prompt_cache_hit_tokens")) or 0
    completion = _count(counted.get("completion_tokens")) or 0
    return Usage(input_tokens=prompt, output_tokens=completion, cached_input_tokens=min(cached, prompt))


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
