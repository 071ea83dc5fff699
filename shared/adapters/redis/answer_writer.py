"""The worker's end of one answer's stream."""

import asyncio
from collections.abc import Callable

from shared.adapters.redis.answer_messages import Credit, Going, Pieces
from shared.adapters.redis.keys import answer_pieces
from shared.adapters.redis.outgoing import Outgoing
from shared.adapters.redis.stream_patience import StreamPatience


class PieceWriter:
    """Implements ``AnswerWriter``; speaks as a ``Speaker``.

    Pieces that nobody will read are counted still, so that a reader that comes back sees the gap.
    """

    def __init__(
        self,
        job_id: str,
        name: str,
        patience: StreamPatience,
        let_speak: Callable[["PieceWriter"], None],
        *,
        knows_receivers: bool,
    ) -> None:
        """``name``: unique among all writers; ``let_speak`` asks for a call of ``speak``.

        ``knows_receivers``: the server counts all who hear a message.
        """
        self._channel = answer_pieces(job_id)
        self._name = name
        self._patience = patience
        self._let_speak = let_speak
        self._knows_receivers = knows_receivers
        self._pieces: list[bytes] = []
        self._count = 0
        self._bytes = 0
        self._granted = patience.window
        self._has_news = asyncio.Event()
        self._is_alone = False
        self._is_held_up = False
        self._looks_held_up = 0
        self._going = Going.ON
        self._looks_unheard = 0
        self._was_quiet = False
        self._says_pieces = False

    async def send(self, piece: bytes) -> None:
        """Pass on a piece, as ``AnswerWriter.send``."""
        while self._bytes >= self._granted and not self._is_alone:
            self._is_held_up = True
            self._has_news.clear()
            await self._has_news.wait()
        self._is_held_up = False
        self._count += 1
        self._was_quiet = False
        if self._is_alone:
            return
        self._bytes += len(piece)
        self._pieces.append(piece)
        self._let_speak(self)

    async def close(self) -> None:
        """Say that no piece will follow."""
        self._end(Going.ENDED)

    def leave(self) -> None:
        """Say that no piece will follow although the answer is not whole; without effect after ``close``."""
        if self._count:  # else nobody has heard of it, and another attempt may begin anew
            self._end(Going.BROKEN_OFF)

    def hear(self, credit: Credit) -> None:
        """Hear of the reader."""
        self._looks_unheard = 0
        if credit.granted is None:
            self._be_alone()
        elif credit.granted > self._granted:
            self._granted = credit.granted
            self._has_news.set()

    def look(self) -> None:
        """Give a sign of life if there was none, and see whether there was one of the reader's."""
        if not self._count:
            return
        self._looks_unheard += 1
        self._looks_held_up += self._is_held_up
        is_unheard = self._looks_unheard > self._patience.with_readers
        if is_unheard or self._looks_held_up > self._patience.with_slow_clients:
            self._be_alone()
        if self._was_quiet:
            self._let_speak(self)
        self._was_quiet = True

    def speak(self) -> Outgoing:
        """Give the pieces that were not passed on yet, or a sign of life."""
        pieces, self._pieces = self._pieces, []
        self._says_pieces = bool(pieces)
        said = Pieces(self._name, self._count - len(pieces), self._going, pieces)
        return Outgoing(self._channel, said.encode())

    def was_sent(self, receivers: int) -> None:
        """Hear how many heard it. Pieces that nobody heard are lost, and the stream is broken."""
        if receivers == 0 and self._says_pieces and self._knows_receivers:
            self._be_alone()

    def was_lost(self) -> None:
        """Hear that it may be lost."""
        self._be_alone()

    def _end(self, going: Going) -> None:
        if self._going is Going.ON:
            self._going = going
            self._let_speak(self)

    def _be_alone(self) -> None:
        self._is_alone = True
        self._pieces = []  # their numbers stay taken
        self._has_news.set()
