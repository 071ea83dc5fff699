"""A chat answer that came in chunks, as one answer again: ``chat.completion.chunk`` to ``chat.completion``.

What is known of the format is merged by its meaning, what is not by its type: texts are joined, objects merged, lists
with an ``index`` merged by it and others lengthened, and of everything else the last that was not null counts.
"""

from collections.abc import Mapping
from typing import Any, Final

Json = dict[str, Any]

_SAID_ONCE: Final = frozenset({"id", "type", "role", "name", "format"})
"""Texts that some providers repeat in every chunk; the first counts."""

_OF_THE_FIRST: Final = frozenset({"id", "created", "model"})
_ONLY_OF_CHUNKS: Final = frozenset({"object", "choices", "obfuscation"})
_IN_BLOCKS: Final = frozenset({"thinking_blocks"})
"""Lists without an index whose last item goes on in the next chunk, until it is signed (Anthropic's, by LiteLLM)."""


class ChatAnswerInParts:
    """Puts chunks together."""

    def __init__(self, choices: int = 1) -> None:
        """Begin with none; ``choices``: how many were asked for."""
        self._asked_for = choices
        self._members: Json = {}
        self._choices: dict[int, Json] = {}
        self._is_begun = False

    @property
    def is_begun(self) -> bool:
        """Whether there was a chunk."""
        return self._is_begun

    @property
    def is_whole(self) -> bool:
        """Whether every choice said why it ended."""
        choices = self._choices.values()
        return len(choices) >= self._asked_for and all(choice.get("finish_reason") is not None for choice in choices)

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Take the next chunk."""
        self._is_begun = True
        for name, value in chunk.items():
            if name in _ONLY_OF_CHUNKS or (name in _OF_THE_FIRST and self._members.get(name)):
                continue
            if value is not None or name not in self._members:
                self._members[name] = value
        for choice in chunk.get("choices") or ():
            if isinstance(choice, Mapping):
                self._add_choice(choice)

    def answer(self) -> Json:
        """Give the answer as far as it came."""
        choices = [_finished(self._choices[index]) for index in sorted(self._choices)]
        return {**self._members, "object": "chat.completion", "choices": choices}

    def _add_choice(self, chunk: Mapping[str, Any]) -> None:
        index = chunk.get("index")
        number = index if isinstance(index, int) else 0
        known = self._choices.setdefault(number, {"index": number, "message": {}})
        for name, value in chunk.items():
            if name == "delta":
                if isinstance(value, Mapping):
                    _merge(known["message"], value)
            elif name == "logprobs":
                known["logprobs"] = _joined(known.get("logprobs"), value)
            elif value is not None or name not in known:
                known[name] = value


def is_usage_alone(chunk: Mapping[str, Any]) -> bool:
    """Whether a chunk is the one that a client gets only if it asked for the usage: no choices, and the counts."""
    return chunk.get("choices") == [] and chunk.get("usage") is not None


def asks_for_usage(request: Mapping[str, Any]) -> bool:
    """Whether a request wants the usage as a chunk of its own."""
    options = request.get("stream_options")
    return isinstance(options, Mapping) and options.get("include_usage") is True


def with_usage(request: Mapping[str, Any]) -> Json:
    """Give the ``stream_options`` of a request, with the usage asked for."""
    options = request.get("stream_options")
    return {**(options if isinstance(options, Mapping) else {}), "include_usage": True}


def _merge(known: Json, delta: Mapping[str, Any]) -> None:
    for name, value in delta.items():
        if name in _IN_BLOCKS and isinstance(value, list):
            known[name] = _with_blocks(known.get(name) or [], value)
        elif name in _SAID_ONCE and known.get(name):
            continue
        else:
            known[name] = _joined(known.get(name), value)


def _joined(known: Any, value: Any) -> Any:  # noqa: ANN401 - any JSON
    if value is None or known is None:
        return known if value is None else _begun(value)
    match known, value:
        case str(), str():
            return known + value
        case dict(), dict():
            _merge(known, value)
            return known
        case list(), list():
            return _with_items(known, value)
        case _:
            return value


def _begun(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Copy what a chunk begins with, so that later ones are not merged into the chunk itself."""
    match value:
        case dict():
            copy: Json = {}
            _merge(copy, value)
            return copy
        case list():
            return _with_items([], value)
        case _:
            return value


def _with_items(known: list[Any], items: list[Any]) -> list[Any]:
    for item in items:
        index = item.get("index") if isinstance(item, dict) else None
        same = None if index is None else next((old for old in known if _has_index(old, index)), None)
        if same is None:
            known.append(_begun(item))
        else:
            _merge(same, {name: value for name, value in item.items() if name != "index"})
    return known


def _has_index(item: object, index: object) -> bool:
    return isinstance(item, dict) and item.get("index") == index


def _with_blocks(known: list[Any], blocks: list[Any]) -> list[Any]:
    for block in blocks:
        last = known[-1] if known else None
        goes_on = isinstance(last, dict) and isinstance(block, dict) and last.get("type") == block.get("type")
        if goes_on and isinstance(last, dict) and not last.get("signature"):
            _merge(last, block)
        else:
            known.append(_begun(block))
    return known


def _finished(choice: Json) -> Json:
    message = {"role": "assistant", "content": None, **choice["message"]}
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        ordered = sorted(calls, key=lambda call: call.get("index", 0) if isinstance(call, dict) else 0)
        message["tool_calls"] = [_without_index(call) for call in ordered]
    return {**choice, "message": message}


def _without_index(call: Any) -> Any:  # noqa: ANN401 - any JSON
    return {name: value for name, value in call.items() if name != "index"} if isinstance(call, dict) else call
