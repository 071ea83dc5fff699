"""A whole chat answer as the chunks in which a provider would have streamed it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from shared.domain.provider_errors import UnexpectedAnswer

DONE: Final = b"[DONE]"
"""What follows the last chunk."""

_NOT_IN_EVERY_CHUNK: Final = frozenset({"choices", "usage"})
_OF_THE_MESSAGE: Final = frozenset({"index", "message", "logprobs", "finish_reason"})


def chunks(response: Mapping[str, Any], *, include_usage: bool) -> Iterator[dict[str, Any]]:
    """Cut a ``chat.completion`` into ``chat.completion.chunk``s; put together they are the same answer.

    Of each choice: its role, its text and all else that its message has, each of its tool calls, its end. With
    ``include_usage`` one more chunk tells what was used.

    Raises:
        UnexpectedAnswer: it is no chat answer; some chunks may have been given.
    """
    common = {name: value for name, value in response.items() if name not in _NOT_IN_EVERY_CHUNK}
    common["object"] = "chat.completion.chunk"
    if include_usage:
        common["usage"] = None
    for position, choice in enumerate(_objects(response.get("choices"), "choices")):
        index = choice.get("index", position)
        for part in _parts(choice):
            yield {**common, "choices": [{"index": index, "logprobs": None, "finish_reason": None, **part}]}
    if include_usage:
        yield {**common, "choices": [], "usage": response.get("usage")}


def _objects(found: object, name: str) -> list[dict[str, Any]]:
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise UnexpectedAnswer(f"The provider's answer is no chat answer: its `{name}` cannot be read.")
    return found


def _parts(choice: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    (message,) = (dict(said) for said in _objects([choice.get("message") or {}], "message"))
    role, tool_calls = message.pop("role", "assistant"), message.pop("tool_calls", None)
    yield {"delta": {"role": role, "content": "" if isinstance(message.get("content"), str) else None}}
    said = {name: value for name, value in message.items() if value is not None}
    logprobs = choice.get("logprobs")
    if said or logprobs:
        yield {"delta": said, "logprobs": logprobs}
    for number, call in enumerate(_objects(tool_calls or [], "tool_calls")):
        yield {"delta": {"tool_calls": [{"index": number, **call}]}}
    beside = {name: value for name, value in choice.items() if name not in _OF_THE_MESSAGE}
    yield {"delta": {}, **beside, "finish_reason": choice.get("finish_reason")}
