"""Who reads a job's answer while it is made: the API whose client waits, or nobody."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from shared.domain.answer_streams import AnswerStreams, AnswerWriter
from shared.domain.clock import Clock
from shared.domain.job import JobSpec


class NobodyReads:
    """Implements ``AnswerWriter`` for a job whose answer is fetched when it is finished."""

    async def send(self, piece: bytes) -> None:
        """Let a piece go."""

    async def close(self) -> None:
        """Do nothing."""


NOBODY_READS: Final = NobodyReads()


class TimedPassage:
    """Passes the pieces of one call on. ``held_up_s``: seconds for which their reader has held it up, in all."""

    def __init__(self, stream: AnswerWriter, clock: Clock) -> None:
        """Pass them on to ``stream``."""
        self.held_up_s = 0.0
        self._stream = stream
        self._clock = clock

    async def send(self, piece: bytes) -> None:
        """Pass on a piece; returns when the next may come."""
        began_at = self._clock.monotonic()
        await self._stream.send(piece)
        self.held_up_s += self._clock.monotonic() - began_at


@asynccontextmanager
async def stream_of(spec: JobSpec, streams: AnswerStreams) -> AsyncIterator[AnswerWriter]:
    """Begin the stream of a job, if its answer is to be streamed.

    It is closed once the job's end is in the store, where who reads finds it. One that is left otherwise, because the job
    comes back or is another's by now, is broken if a piece of it went out, and else as if it had never been.
    """
    if not spec.streams:
        yield NOBODY_READS
        return
    async with streams.writer(spec.id) as writer:
        yield writer
