"""The responses that are being sent piece by piece, so that they can end in good order."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class OpenStreams:
    """The streams that are open: when the server is to stop they end.

    Who followed a job comes again by himself; who read an answer is told that its job goes on.
    """

    def __init__(self) -> None:
        """None is open yet."""
        self._bells: set[asyncio.Event] = set()
        self.is_ending = False

    def end(self) -> None:
        """Have every stream end."""
        self.is_ending = True
        for bell in self._bells:
            bell.set()

    @contextmanager
    def opened(self, bell: asyncio.Event) -> Iterator[None]:
        """Ring ``bell`` when the streams are to end, for as long as the block lasts; at once if they are already."""
        self._bells.add(bell)
        if self.is_ending:
            bell.set()
        try:
            yield
        finally:
            self._bells.discard(bell)
