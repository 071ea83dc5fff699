"""A chat answer as server-sent events, in the chunks of the OpenAI wire."""

import asyncio
from collections.abc import Iterator, Mapping
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
    is_hanging_up: bool,
) -> web.StreamResponse:
    """Send the answer in pieces, spread over the latency; hang up after half of them if that is the fault."""
    response = web.StreamResponse(headers={**headers, "cache-control": "no-cache"})
    response.content_type = "text/event-stream"
    await response.prepare(http)
    chunks = [_chunk(answer, asked, choices=[choice]) for choice in _deltas(answer)]
    if asked.include_usage:
        chunks.append(_chunk(answer, asked, choices=[], usage=answer.usage))
    for number, chunk in enumerate(chunks):
        if latency_s:
            await asyncio.sleep(latency_s / len(chunks))
        if is_hanging_up and number >= len(chunks) // 2:
            hang_up(http)
        await response.write(b"data: " + orjson.dumps(chunk) + b"\n\n")
    await response.write(b"data: [DONE]\n\n")
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
