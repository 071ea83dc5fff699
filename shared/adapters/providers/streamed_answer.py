"""What comes of a streamed answer, chunk by chunk: passed on at once, and put together for the job's result."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import orjson

from shared.adapters.providers.errors import from_response
from shared.adapters.providers.usage import read_usage
from shared.domain.provider_errors import ConnectionFailed, ProviderError, StreamBroken, TimedOut, UnexpectedAnswer
from shared.domain.providers import OnPiece, ProviderAnswer
from shared.wire.chat_chunks import ChatAnswerInParts, asks_for_usage, is_usage_alone

LONGEST_STREAM_S: Final = 1_200.0
"""Seconds for a whole streamed answer, however steadily its chunks come, unless its deployment's timeout is longer.

A broker gives a message that is not acknowledged for 30 minutes to another worker, and drops the connection.
"""

_OK: Final = 200


class StreamedAnswer:
    """One answer. The chunk that holds only the usage is kept from a client that did not ask for it."""

    def __init__(self, request: Mapping[str, Any], on_piece: OnPiece) -> None:
        """``request``: as the client sent it; ``on_piece`` gets each chunk."""
        self._passes_usage_on = asks_for_usage(request)
        self._on_piece = on_piece
        choices = request.get("n")
        self._parts = ChatAnswerInParts(choices if isinstance(choices, int) else 1)
        self._is_shown = False

    @property
    def is_whole(self) -> bool:
        """Whether every choice said why it ended."""
        return self._parts.is_whole

    async def take(self, piece: bytes) -> None:
        """Take a chunk as the provider sent it, and pass it on.

        Raises:
            ProviderError: it is an error, or no chunk.
        """
        try:
            chunk = orjson.loads(piece)
        except orjson.JSONDecodeError:
            raise UnexpectedAnswer("A chunk of the answer is not JSON.") from None
        if not isinstance(chunk, dict):
            raise UnexpectedAnswer("A chunk of the answer is not a JSON object.")
        if chunk.get("error"):
            code = chunk["error"].get("code") if isinstance(chunk["error"], dict) else None
            raise from_response(code if isinstance(code, int) else _OK, {}, piece)
        self._parts.add(chunk)
        if self._passes_usage_on or not is_usage_alone(chunk):
            self._is_shown = True
            await self._on_piece(
                piece.replace(b"\n", b" ").replace(b"\r", b" ")
            )  # a line break is no part of JSON text

    def whole(self, rate_limit_headers: Mapping[str, str], *, was_ended: bool) -> ProviderAnswer:
        """Give the whole answer. ``was_ended``: the provider said that this is the end.

        Raises:
            ProviderError: it is not whole.
        """
        if not was_ended and not self._parts.is_whole:
            raise ConnectionFailed("The provider hung up before the end of its answer.")
        if not self._parts.is_begun:
            raise UnexpectedAnswer("The provider's stream is empty.")
        return self._answer(rate_limit_headers)

    def after(self, error: ProviderError, rate_limit_headers: Mapping[str, str]) -> ProviderAnswer:
        """Give the answer if only what follows its end was lost.

        Raises:
            StreamBroken: it is not whole, and a piece of it was passed on.
            ProviderError: ``error`` itself; nothing was passed on.
        """
        if self._parts.is_whole and isinstance(error, ConnectionFailed):
            return self._answer(rate_limit_headers)
        if not self._is_shown:
            raise error from None
        why = f"The answer broke off after its first pieces were passed on. {error.message}"
        raise StreamBroken(why, status=error.status, partial=self._answer(rate_limit_headers)) from None

    def _answer(self, rate_limit_headers: Mapping[str, str]) -> ProviderAnswer:
        body = self._parts.answer()
        return ProviderAnswer(body, read_usage(body), rate_limit_headers)


@asynccontextmanager
async def to_be_ended_within(seconds: float) -> AsyncIterator[None]:
    """Bound the whole of a streamed call. Raises ``TimedOut``."""
    whole = asyncio.timeout(seconds)
    try:
        async with whole:
            yield
    except TimeoutError:
        if whole.expired():
            raise TimedOut(f"The provider's stream did not end within {seconds:g} s.") from None
        raise
