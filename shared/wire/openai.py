"""What a provider's request must have to be worth queueing. Everything else in it is the provider's business."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

from shared.domain.errors import InvalidInput, Unsupported
from shared.domain.token_estimate import MOST_ANSWERS
from shared.wire.input_errors import kind_of

LONGEST_MODEL_NAME: Final = 256


class Endpoint(StrEnum):
    """The provider's paths that a job may ask."""

    CHAT_COMPLETIONS = "/v1/chat/completions"
    EMBEDDINGS = "/v1/embeddings"


def check(endpoint: Endpoint, request: Mapping[str, Any]) -> None:
    """Refuse a request body that no provider would accept, before it is queued.

    Raises:
        InvalidInput: names the path in ``param``; quotes nothing of the messages or inputs.
    """
    _check_model(request)
    if request.get("stream"):
        raise Unsupported(
            "`request.stream` must be false or left out: a job's answer is fetched when it is finished. "
            "Streaming is for synchronous calls.",
            param="request.stream",
        )
    _CHECKS[endpoint](request)


def _check_model(request: Mapping[str, Any]) -> None:
    model = request.get("model")
    if not isinstance(model, str) or not model or len(model) > LONGEST_MODEL_NAME:
        raise InvalidInput(
            f"`request.model` must be the name of a model, of at most {LONGEST_MODEL_NAME} characters; "
            f"found {kind_of(model)}.",
            param="request.model",
        )


def _check_chat(request: Mapping[str, Any]) -> None:
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidInput(
            f"`request.messages` must be a list of at least one message; found {kind_of(messages)}. "
            f"The endpoint for embeddings is `{Endpoint.EMBEDDINGS}`.",
            param="request.messages",
        )
    answers = request.get("n")
    if answers is not None and not (type(answers) is int and 1 <= answers <= MOST_ANSWERS):
        raise InvalidInput(
            f"`request.n` must be a whole number from 1 to {MOST_ANSWERS}; found {kind_of(answers)}.", param="request.n"
        )
    for index, message in enumerate(messages):
        _check_message(message, f"request.messages[{index}]")


def _check_message(message: object, path: str) -> None:
    if not isinstance(message, dict):
        raise InvalidInput(
            f"`{path}` must be an object with `role` and `content`; found {kind_of(message)}.", param=path
        )
    role = message.get("role")
    if not isinstance(role, str) or not role:
        raise InvalidInput(f"`{path}.role` must be a non-empty string; found {kind_of(role)}.", param=f"{path}.role")
    content = message.get("content")
    if content is None and role == "assistant" and not _SPEAKS_WITHOUT_CONTENT.isdisjoint(message):
        return
    if not isinstance(content, str | list) or content == []:
        raise InvalidInput(
            f"`{path}.content` must be a string or a list of at least one part; found {kind_of(content)}.",
            param=f"{path}.content",
        )


def _check_embeddings(request: Mapping[str, Any]) -> None:
    given = request.get("input")
    if not isinstance(given, str | list) or not given:
        raise InvalidInput(
            f"`request.input` must be a non-empty string or list; found {kind_of(given)}.", param="request.input"
        )


_SPEAKS_WITHOUT_CONTENT: Final = frozenset({"tool_calls", "function_call", "audio"})
_CHECKS: Final[Mapping[Endpoint, Callable[[Mapping[str, Any]], None]]] = {
    Endpoint.CHAT_COMPLETIONS: _check_chat,
    Endpoint.EMBEDDINGS: _check_embeddings,
}
