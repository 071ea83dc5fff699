"""Who reads a job's answer while it is made: the API whose client waits, or nobody."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from shared.domain.answer_streams import AnswerStreams, AnswerWriter
from shared.domain.job import JobSpec


class NobodyReads:
    """Implements ``AnswerWriter`` for a job whose answer is fetched when it is finished."""

    async def send(self, piece: bytes) -> None:
        """Let a piece go."""

    async def close(self) -> None:
        """Do nothing."""


NOBODY_READS: Final = NobodyReads()


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
