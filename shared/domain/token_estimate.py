"""How many tokens a call will take: an estimate before it, from what earlier calls of the model took.

Input is characters divided by a ratio that is learned per model; no tokenizer is downloaded. Output is what
the request allows at most, because that is what providers count when they let a call in; where it sets no
bound, the longest answer of late.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from shared.domain.rate_limit import Cost
from shared.domain.usage import Usage

FIRST_RATIO: Final = 4.0
"""Characters a token, before anything was learned: English text in the usual vocabularies."""

FIRST_OUTPUT: Final = 256.0
"""Tokens of an answer without a bound, before anything was learned."""

NEWS: Final = 0.05
"""The weight of one call in the learned ratio."""

MOST_OUTPUT: Final = 131_072
"""Tokens of one answer beyond which no bound is believed: no model writes more, and all would wait for the debt."""

MOST_ANSWERS: Final = 128
"""Answers to one request (``n``) that providers give at most."""

FADING: Final = 0.995
"""What is left of the longest answer's length after each shorter one."""


_NOT_READ_AS_TEXT: Final = frozenset({"image_url", "data", "file_data"})
"""Parts of a message whose length says nothing of their tokens: pictures, sound and files."""

_NOT_SPOKEN: Final = frozenset({"role"})
"""Parts of an answer that no model writes."""


@dataclass(slots=True)
class _Learned:
    ratio: float = FIRST_RATIO
    longest: float = FIRST_OUTPUT


class TokenEstimator:
    """Estimates for one process. Two processes may differ a little; settling on the real counts evens it out."""

    def __init__(self) -> None:
        """Begin with nothing learned."""
        self._learned: dict[str, _Learned] = {}

    def cost(self, lane: str, request: Mapping[str, Any]) -> Cost:
        """Estimate a call of a lane: one request, and the tokens of what is asked and of the answer."""
        learned = self._learned.get(lane, _Learned())
        inputs = characters(request) / learned.ratio + _tokens_given(request.get("input"))
        if "messages" not in request:
            return Cost(1.0, inputs)
        bound = request.get("max_completion_tokens") or request.get("max_tokens")
        output = float(min(bound, MOST_OUTPUT)) if isinstance(bound, int) and bound > 0 else learned.longest
        choices = request.get("n")
        answers = min(choices, MOST_ANSWERS) if isinstance(choices, int) and choices > 0 else 1
        return Cost(1.0, inputs, output * answers)

    def usage(self, lane: str, request: Mapping[str, Any], answer: Mapping[str, Any]) -> Usage:
        """Estimate what a chat answer used that the provider did not count, because it broke off."""
        ratio = self._learned.get(lane, _Learned()).ratio
        messages = [choice.get("message") or {} for choice in answer.get("choices") or ()]
        spoken = ({name: said for name, said in message.items() if name not in _NOT_SPOKEN} for message in messages)
        written = sum(len(text) for message in spoken for text in _texts(message))
        return Usage(ceil(characters(request) / ratio), ceil(written / ratio))

    def learn(self, lane: str, request: Mapping[str, Any], usage: Usage) -> None:
        """Take the provider's counts of a call into account."""
        learned = self._learned.setdefault(lane, _Learned())
        asked = characters(request)
        if asked and usage.input_tokens:
            learned.ratio += NEWS * (asked / usage.input_tokens - learned.ratio)
        learned.longest = max(float(usage.output_tokens), learned.longest * FADING)


def characters(request: Mapping[str, Any]) -> int:
    """Count the characters of a request that a model reads: messages or input, and tools."""
    return sum(len(text) for name in ("messages", "input", "tools") for text in _texts(request.get(name)))


def _tokens_given(given: object) -> int:
    """Count what an embedding's input gives as tokens, not as text."""
    if isinstance(given, list):
        return sum(_tokens_given(part) for part in given)
    return int(isinstance(given, int) and not isinstance(given, bool))


def _texts(part: object) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, list):
        for item in part:
            yield from _texts(item)
    elif isinstance(part, dict):
        for name, item in part.items():
            if name not in _NOT_READ_AS_TEXT:
                yield from _texts(item)
