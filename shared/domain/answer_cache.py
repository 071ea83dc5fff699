"""The exact cache of answers: what may be cached, for whom, and how it is found again."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from shared.domain.usage import Usage

DEFAULT_TTL_S: Final = 3_600.0


class CacheMode(StrEnum):
    """How a job uses the cache: look and store, store only, or neither."""

    EXACT = "exact"
    REFRESH = "refresh"
    OFF = "off"

    @property
    def looks(self) -> bool:
        """Whether an earlier answer may serve."""
        return self is CacheMode.EXACT

    @property
    def stores(self) -> bool:
        """Whether the answer may serve later jobs."""
        return self is not CacheMode.OFF


class CacheResult(StrEnum):
    """What the cache did for a job."""

    HIT = "hit"
    SEMANTIC_HIT = "semantic_hit"
    COALESCED = "coalesced"
    MISS = "miss"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """A job's wishes. ``ttl_s``: seconds its answer may serve; ``namespace`` keeps answers apart."""

    mode: CacheMode = CacheMode.EXACT
    ttl_s: float = DEFAULT_TTL_S
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class CacheKey:
    """Where an answer is kept. The team is part of it, so no team can meet another's answers."""

    team: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer worth giving again. ``usage`` is what it cost when it was made."""

    response: dict[str, Any]
    served_by: str
    usage: Usage


class AnswerCache(Protocol):
    """The port to the stored answers."""

    async def look_up(self, key: CacheKey) -> CachedAnswer | None:
        """Give the answer, if there is one and its time is not over."""
        ...

    async def look_up_many(self, keys: list[CacheKey | None]) -> list[CachedAnswer | None]:
        """As ``look_up`` for each key in turn, in one round trip; a None key finds None."""
        ...

    async def store(self, key: CacheKey, answer: CachedAnswer, ttl_s: float) -> None:
        """Keep the answer for ``ttl_s`` seconds, in place of an earlier one."""
        ...


_FINISHED_WELL: Final = frozenset({"stop", "tool_calls", "function_call"})


def is_worth_caching(request: Mapping[str, Any], response: Mapping[str, Any]) -> bool:
    """Tell whether an answer is good: complete, and refused by nobody.

    A chat answer cut at a length counts as complete only if the request itself set that length.
    """
    if "choices" not in response:
        return bool(response.get("data"))
    choices = response["choices"]
    if not isinstance(choices, list) or not choices:
        return False
    accepted = set(_FINISHED_WELL)
    if "max_tokens" in request or "max_completion_tokens" in request:
        accepted.add("length")
    return all(isinstance(choice, Mapping) and _is_good(choice, accepted) for choice in choices)


def _is_good(choice: Mapping[str, Any], accepted: set[str]) -> bool:
    message = choice.get("message")
    if not isinstance(message, Mapping) or message.get("refusal"):
        return False
    has_answer = bool(message.get("content") or message.get("tool_calls") or message.get("function_call"))
    return has_answer and choice.get("finish_reason") in accepted
