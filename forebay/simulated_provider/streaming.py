"""A chat answer as server-sent events, in the chunks of the OpenAI wire."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from aiohttp import web

from forebay.simulated_provider.answers import CREATED, ChatAnswer
from forebay.simulated_provider.requests import ChatRequest

MOST_PIECES: Final = 40
"""Into so many pieces a choice's text is cut at most."""

_SHORTEST_PIECE: Final = 16


class HungUp(asyncio.CancelledError):
    """The connection was closed by a fault, not by the client. aiohttp ends a cancelled handler without a word."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a stream is cut off: in its middle, or at a byte (beyond its end: nowhere)."""

    in_the_middle: bool = False
    at_byte: int | None = None

    def place(self, events: Sequence[bytes]) -> int | None:
        """Give the number of bytes that are sent; None: all."""
        if self.at_byte is not None:
            return self.at_byte
        return sum(map(len, events[: len(events) // 2])) if self.in_the_middle else None


def hang_up(http: web.Request) -> None:
    """Close the connection without another word; raises ``HungUp``."""
    if http.transport is not None:
        http.transport.abort()
    raise HungUp


async def stream(
    http: web.Request,
    asked: ChatRequest,
    answer: ChatAnswer,
    *,
    headers: Mapping[str, str],
    latency_s: float,
    cut: Cut,
) -> web.StreamResponse:
    """Send the answer in pieces, spread over the latency; hang up where the fault says so."""
    response = web.StreamResponse(headers={**headers, "cache-control": "no-cache"})
    response.content_type = "text/event-stream"
    await response.prepare(http)
    chunks = [_chunk(answer, asked, choices=[choice]) for choice in _deltas(answer)]
    if asked.include_usage:
        chunks.append(_chunk(answer, asked, choices=[], usage=answer.usage))
    events = [b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks]
    end = cut.place(events)
    for event in [*events, b"data: [DONE]\n\n"]:
        if latency_s:
            await asyncio.sleep(latency_s / (len(events) + 1))
        if end is not None and end < len(event):
            await response.write(event[:end])
            hang_up(http)
        await response.write(event)
        end = None if end is None else end - len(event)
    await response.write_eof()
    return response


def _deltas(answer: ChatAnswer) -> Iterator[dict[str, Any]]:
    for index, choice in enumerate(answer.choices):
        yield _delta(index, {"role": "assistant", "content": "", "refusal": None})
        step = max(_SHORTEST_PIECE, -(-len(choice.text) // MOST_PIECES))
        for start in range(0, len(choice.text), step):
            yield _delta(index, {"content": choice.text[start : start + step]})
        yield _delta(index, {}, choice.finish_reason)


def _delta(index: int, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _chunk(
    answer: ChatAnswer, asked: ChatRequest, choices: list[dict[str, Any]], usage: dict[str, Any] | None = None
) -> dict[str, Any]:
    chunk: dict[str, Any] = {
        "id": answer.id,
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": answer.model,
        "choices": choices,
        "system_fingerprint": "fp_simulated",
    }
    return {**chunk, "usage": usage} if asked.include_usage else chunk
