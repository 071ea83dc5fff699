"""Reading what the client asks for. A token is four characters, rounded up; an image counts as 85."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from forebay.simulated_provider.refusals import invalid

CHARACTERS_PER_TOKEN: Final = 4
TOKENS_PER_IMAGE: Final = 85
MOST_CHOICES: Final = 128


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat completion that is asked for. ``text``: the last user message; ``max_tokens``: of each choice."""

    model: str
    text: str
    prompt: bytes
    prompt_tokens: int
    max_tokens: int | None
    choices: int
    json_object: bool
    stream: bool
    include_usage: bool


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Embeddings that are asked for. ``inputs``: each text, or the JSON of its token ids."""

    model: str
    text: str
    inputs: tuple[str, ...]
    prompt_tokens: int
    dimensions: int
    base64: bool


def read_chat(body: bytes) -> ChatRequest:
    """Read a chat request; raises ``Refusal``."""
    asked = _read_object(body)
    messages = asked.get("messages")
    if not isinstance(messages, list) or not messages:
        raise invalid("`messages` must be a list with at least one message.", "messages")
    texts = [_read_message(message, index) for index, message in enumerate(messages)]
    last_user = next(
        (text for message, text in zip(messages[::-1], texts[::-1], strict=True) if message["role"] == "user"), ""
    )
    response_format = asked.get("response_format") or {}
    return ChatRequest(
        model=_read_model(asked),
        text=last_user,
        prompt=orjson.dumps(messages, option=orjson.OPT_SORT_KEYS),
        prompt_tokens=sum(map(_tokens_of_message, messages, texts)),
        max_tokens=_read_count(asked, "max_completion_tokens") or _read_count(asked, "max_tokens"),
        choices=_read_count(asked, "n", at_most=MOST_CHOICES) or 1,
        json_object=isinstance(response_format, dict) and response_format.get("type") in {"json_object", "json_schema"},
        stream=asked.get("stream") is True,
        include_usage=bool((asked.get("stream_options") or {}).get("include_usage")),
    )


def read_embedding(body: bytes, default_dimensions: int = 1536) -> EmbeddingRequest:
    """Read an embeddings request; raises ``Refusal``."""
    asked = _read_object(body)
    given = asked.get("input")
    if isinstance(given, str) or (isinstance(given, list) and given and all(isinstance(item, int) for item in given)):
        given = [given]
    if not isinstance(given, list) or not given or not all(isinstance(item, str | list) and item for item in given):
        raise invalid("`input` must be a text, a list of texts, or token ids; none of them empty.", "input")
    inputs = tuple(item if isinstance(item, str) else json.dumps(item) for item in given)
    return EmbeddingRequest(
        model=_read_model(asked),
        text=inputs[0] if len(inputs) == 1 else json.dumps(inputs),
        inputs=inputs,
        prompt_tokens=sum(count_tokens(item) if isinstance(item, str) else len(item) for item in given),
        dimensions=_read_count(asked, "dimensions", at_most=8192) or default_dimensions,
        base64=asked.get("encoding_format") == "base64",
    )


def count_tokens(text: str) -> int:
    """Count a text's tokens."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def _read_object(body: bytes) -> dict[str, Any]:
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise invalid("The body is not JSON.") from None
    if not isinstance(asked, dict):
        raise invalid("The body is not a JSON object.")
    return asked


def _read_model(asked: dict[str, Any]) -> str:
    model = asked.get("model")
    if not isinstance(model, str) or not model:
        raise invalid("`model` is missing.", "model")
    return model


def _read_count(asked: dict[str, Any], name: str, at_most: int | None = None) -> int | None:
    count = asked.get(name)
    if count is None:
        return None
    if not isinstance(count, int) or isinstance(count, bool) or count < 1 or (at_most is not None and count > at_most):
        raise invalid(
            f"`{name}` must be a whole number of at least 1{f' and at most {at_most}' if at_most else ''}.", name
        )
    return count


def _read_message(message: object, index: int) -> str:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise invalid("A message must be an object with a `role`.", f"messages[{index}]")
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    if content is None and message["role"] == "assistant":
        return ""
    raise invalid("A message must have a `content`.", f"messages[{index}].content")


def _tokens_of_message(message: dict[str, Any], text: str) -> int:
    content: Sequence[Any] = message["content"] if isinstance(message.get("content"), list) else ()
    images: int = sum(isinstance(part, dict) and part.get("type") == "image_url" for part in content)
    return max(1, count_tokens(text)) + images * TOKENS_PER_IMAGE
