"""The port for answers that are passed on while they are made: from the worker to the API whose client waits.

Pieces travel beside the queues and are not kept: the job's result, which is, holds the whole answer. So a piece may
be lost with a server or a process; the reader is told then, and never shown a gap.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class AnswerWriter(Protocol):
    """The worker's end of one job's stream."""

    async def send(self, piece: bytes) -> None:
        """Pass on a piece: one chunk of the provider's, as JSON without line breaks.

        Waits while the reader is too far behind, but for minutes only in all; then the reader's stream breaks. When nobody reads (any more) it returns at once and the piece is gone.
        """
        ...

    async def close(self) -> None:
        """Say that no piece will follow, and that the job's end is in the store."""
        ...


class AnswerReader(Protocol):
    """The API's end of one job's stream."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the pieces, each as it comes, and end when the writer has closed.

        Then the job has ended, well or not, and who reads looks at it. There may have been no piece: its answer came from
        a cache, or whole, or it failed before the first one.

        Raises:
            StreamBroken: a piece was lost, or the writer is gone.
        """
        ...


class AnswerStreams(Protocol):
    """All streams of a process."""

    def writer(self, job_id: str) -> AbstractAsyncContextManager[AnswerWriter]:
        """Begin to write a job's stream. To leave it without ``close`` breaks it, if a piece was sent; else it is unheard."""
        ...

    def reader(self, job_id: str) -> AbstractAsyncContextManager[AnswerReader]:
        """Begin to read a job's stream; to be entered before the job is published. Raises ``StoreUnavailable``.

        One reader a job. To leave it tells the writer that nobody reads any more.
        """
        ...
