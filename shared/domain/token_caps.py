"""How many tokens one request may have and ask for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from shared.domain.allowances import Terms
from shared.domain.errors import InvalidInput

OUTPUT_BOUNDS: Final = ("max_completion_tokens", "max_tokens")
"""The members of a chat request that bound the length of an answer."""

CODE: Final = "token_limit_exceeded"


@dataclass(frozen=True, slots=True)
class TokenCaps:
    """The most tokens of one request; None: as many as the model takes."""

    input_tokens: int | None = None
    output_tokens: int | None = None

    @classmethod
    def of(cls, *terms: Terms) -> Self:
        """Give the strictest of what was agreed with a key's holder and with its team."""
        return cls(
            _least(each.max_input_tokens for each in terms),
            _least(each.max_output_tokens for each in terms),
        )

    @property
    def is_open(self) -> bool:
        """Whether every request may be sent as it is."""
        return self == TokenCaps()

    def applied(self, request: dict[str, Any], estimated_input: float) -> dict[str, Any]:
        """Give the request as it may be sent: one that does not bound its answer is bounded.

        Raises:
            InvalidInput: it has, by estimate, or asks for more than is allowed.
        """
        if self.input_tokens is not None and estimated_input > self.input_tokens:
            path = "request.messages" if "messages" in request else "request.input"
            raise InvalidInput(
                f"`{path}` has about {estimated_input:.0f} tokens (an estimate); at most {self.input_tokens} are allowed "
                "in one request for this key or its team (`max_input_tokens`).",
                param=path,
                code=CODE,
            )
        if self.output_tokens is None or "messages" not in request:
            return request
        return self._bounded(request, self.output_tokens)

    def _bounded(self, request: dict[str, Any], most: int) -> dict[str, Any]:
        choices = _whole(request, "n") or 1
        given = [name for name in OUTPUT_BOUNDS if _whole(request, name) is not None]
        asked = [(name, choices * request[name]) for name in given] or [("n", choices)]
        for name, tokens in asked:
            if tokens > most:
                raise InvalidInput(
                    f"`request.{name}` asks for up to {tokens} tokens of output; at most {most} are allowed in one request "
                    "for this key or its team (`max_output_tokens`), all of its choices together.",
                    param=f"request.{name}",
                    code=CODE,
                )
        return request if given else {**request, "max_tokens": most // choices}


def _least(limits: Iterable[int | None]) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _whole(request: Mapping[str, Any], name: str) -> int | None:
    """Give a member that counts something; what cannot be compared with a limit is not let past it."""
    value = request.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidInput(f"`request.{name}` must be a whole number of at least 1.", param=f"request.{name}")
    return value
