"""What the provider says instead of an answer: OpenAI's error object, with its codes and types."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Refusal(Exception):
    """A call that gets an error object. ``headers`` go with it."""

    status: int
    message: str
    type: str
    code: str | None = None
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> dict[str, Any]:
        """The error object."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


def invalid(message: str, param: str | None = None) -> Refusal:
    """Something in the request is wrong."""
    return Refusal(400, message, "invalid_request_error", param=param)


def wrong_key(key: str) -> Refusal:
    """The key is not accepted. Like the real one, this quotes a part of it."""
    shown = f"{key[:8]}***{key[-4:]}" if key else "(none)"
    return Refusal(401, f"This API key is not accepted: {shown}.", "invalid_request_error", "invalid_api_key")


def no_such_model(model: str) -> Refusal:
    """The model does not exist."""
    return Refusal(404, f"There is no model `{model}`.", "invalid_request_error", "model_not_found", "model")


def too_long(allowed: int, asked: int) -> Refusal:
    """Prompt and answer do not fit the context window."""
    message = f"The context window of this model holds {allowed} tokens; this request needs {asked}."
    return Refusal(400, message, "invalid_request_error", "context_length_exceeded", "messages")


def content_filtered() -> Refusal:
    """The prompt was refused by the content policy."""
    return Refusal(400, "The content policy refused this prompt.", "invalid_request_error", "content_filter", "prompt")


def no_quota() -> Refusal:
    """The account has no money left; like the real one, this comes as a 429."""
    return Refusal(429, "This account has used up its quota.", "insufficient_quota", "insufficient_quota")


def limit_reached(unit: str, message: str, headers: Mapping[str, str]) -> Refusal:
    """A rate limit is reached. ``unit``: ``requests`` or ``tokens``."""
    return Refusal(429, message, unit, "rate_limit_exceeded", headers=headers)


def failing(status: int, headers: Mapping[str, str]) -> Refusal:
    """The provider itself fails."""
    return Refusal(
        status, f"The simulated provider fails with {status}, as it was told to.", "server_error", headers=headers
    )
