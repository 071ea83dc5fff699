"""The API's end of one answer's stream."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

from shared.adapters.redis.answer_messages import Credit, Going, Pieces
from shared.adapters.redis.keys import answer_credits
from shared.adapters.redis.outgoing import Outgoing, Speaker
from shared.adapters.redis.stream_patience import StreamPatience
from shared.domain.provider_errors import StreamBroken

LetSpeak = Callable[[Speaker], None]

_LOST: Final = "A piece of the answer was lost on its way."
_GONE: Final = "The worker that made the answer is gone."
_NOT_TAKEN: Final = "The answer was not taken for too long."
_BROKEN_OFF: Final = "The answer broke off."


class PieceReader:
    """Implements ``AnswerReader``; speaks as a ``Speaker``.

    It reads the writer whose first piece it hears first. Writers that had no piece to send said nothing, so an earlier
    attempt that failed leaves no trace; one that begins when pieces of another were shown is sent away.
    """

    def __init__(self, patience: StreamPatience, let_speak: LetSpeak) -> None:
        """``let_speak`` asks for a call of a speaker's ``speak``."""
        self._patience = patience
        self._let_speak = let_speak
        self._writer: str | None = None
        self._pieces: deque[bytes] = deque()
        self._next = 0
        self._taken = 0
        self._granted = patience.window
        self._has_news = asyncio.Event()
        self._is_ended = False
        self._broken: str | None = None
        self._looks_silent = 0
        self._looks_untaken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the pieces, as ``AnswerReader``."""
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                yield piece
                self._take(len(piece))
            if self._broken is not None:
                raise StreamBroken(self._broken)
            if self._is_ended:
                return
            self._has_news.clear()
            await self._has_news.wait()

    def hear(self, message: bytes | None) -> None:
        """Hear a message of a writer; None: what it said meanwhile may be lost, which its next message tells."""
        if self._is_over or message is None:
            return
        heard = Pieces.decode(message)
        if self._writer is None:
            self._writer = heard.writer
            self._let_speak(self)
        elif heard.writer != self._writer:
            self._let_speak(_Refusal(heard.writer))
            return
        self._looks_silent = 0
        if heard.first > self._next:
            self._break(_LOST)
            return
        fresh = heard.pieces[self._next - heard.first :]  # a publish whose reply was lost comes twice
        self._next += len(fresh)
        self._pieces.extend(fresh)
        if heard.going is Going.BROKEN_OFF:
            self._break(_BROKEN_OFF)
        self._is_ended = heard.going is Going.ENDED
        self._has_news.set()

    def look(self) -> None:
        """Give a sign of life, and see whether there was one of the writer's."""
        if self._writer is None or self._is_over:
            return
        self._looks_silent += 1
        self._looks_untaken = self._looks_untaken + 1 if self._pieces else 0
        if self._looks_silent > self._patience.with_writers:
            self._break(_GONE)
        elif self._looks_untaken > self._patience.with_clients:
            self._let_speak(_Refusal(self._writer))
            self._break(_NOT_TAKEN)
        else:
            self._let_speak(self)

    def leave(self) -> None:
        """Say that nobody reads any more."""
        if self._writer is not None and not self._is_ended:
            self._let_speak(_Refusal(self._writer))

    def speak(self) -> Outgoing | None:
        """Give what the writer may send."""
        if self._writer is None or self._is_over:
            return None
        self._granted = self._taken + self._patience.window
        return Outgoing(answer_credits(_process_of(self._writer)), Credit(self._writer, self._granted).encode())

    def was_sent(self, receivers: int) -> None:
        """Hear nothing of interest: the next look says it again."""

    def was_lost(self) -> None:
        """Hear nothing of interest: the next look says it again."""

    @property
    def _is_over(self) -> bool:
        return self._is_ended or self._broken is not None

    def _take(self, size: int) -> None:
        self._taken += size
        self._looks_untaken = 0
        if self._taken + self._patience.window - self._granted >= self._patience.window // 2:
            self._let_speak(self)

    def _break(self, why: str) -> None:
        self._broken = why
        self._has_news.set()


class _Refusal:
    """Speaks once, to a writer that is not read (any more)."""

    def __init__(self, writer: str) -> None:
        self._writer = writer

    def speak(self) -> Outgoing:
        return Outgoing(answer_credits(_process_of(self._writer)), Credit(self._writer, None).encode())

    def was_sent(self, receivers: int) -> None:
        pass

    def was_lost(self) -> None:
        pass


def writer_name(process: str, number: int) -> str:
    """Name a writer of a process."""
    return f"{process}.{number}"


def _process_of(writer: str) -> str:
    return writer.partition(".")[0]
