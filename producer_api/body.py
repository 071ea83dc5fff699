"""Bodies are counted in bytes while they come in, before anything is parsed; what is too much is never held."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request

from shared.domain.errors import BodyTooLarge

DEFAULT_BODY_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of one request's body, or of one line of a bulk upload."""

JSON_TYPES: Final = frozenset({"", "application/json", "application/x-www-form-urlencoded"})
"""The last is what ``curl -d`` says of any body: who tries the API by hand is understood all the same."""

NDJSON_TYPES: Final = frozenset(
    {
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonl",
        "application/json-lines",
        "application/x-jsonlines",
    }
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an upload, counted from 1. ``body`` is None if it was longer than allowed: it was not kept."""

    number: int
    body: bytes | None


def require_content_type(request: Request, allowed: frozenset[str]) -> None:
    """Refuse (415) a body of another type than ``allowed`` (an empty name: none given), or an encoded one."""
    found = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if found not in allowed:
        names = ", ".join(f"`{name}`" for name in sorted(allowed) if name)
        raise HTTPException(415, f"The Content-Type must be {names}; found `{found[:80]}`.")
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        raise HTTPException(415, "An encoded body (Content-Encoding) is not read here; send it plain.")


async def read_body(request: Request, limit: int) -> bytes:
    """Read the body, chunked or not.

    Raises:
        BodyTooLarge: it has, or says it has, more than ``limit`` bytes; the rest was not read.
        ClientDisconnect: the client went away before its end.
    """
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > limit:
        raise too_large("The body", limit)
    body = bytearray()
    async for chunk in request.stream():
        if len(body) + len(chunk) > limit:
            raise too_large("The body", limit)
        body += chunk
    return bytes(body)


async def split_lines(chunks: AsyncIterator[bytes], limit: int) -> AsyncGenerator[Line]:
    """Cut a stream at its line feeds; holds one line at most, and of one over ``limit`` bytes nothing."""
    number = 0
    held = bytearray()
    overlong = False
    async for chunk in chunks:
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            overlong = overlong or len(held) + end - start > limit
            number += 1
            yield Line(number, None if overlong else bytes(held) + chunk[start:end])
            held.clear()
            overlong = False
            start = end + 1
        overlong = overlong or len(held) + len(chunk) - start > limit
        if overlong:
            held.clear()
        else:
            held += chunk[start:]
    if held or overlong:
        yield Line(number + 1, None if overlong else bytes(held))


def too_large(what: str, limit: int) -> BodyTooLarge:
    """Give the error that names the limit."""
    return BodyTooLarge(f"{what} is larger than the allowed {limit} bytes (`forebay.body_limit`).")
