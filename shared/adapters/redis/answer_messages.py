"""What the two ends of an answer's stream say to each other, as bytes.

From the writer, on the channel of the job: a line with its name, the number of the first piece, and how it goes on;
then the pieces, a line each. Without pieces it is a sign of life, or the end.

From the reader, on the channel of the writer's process: the writer's name, and how many bytes of pieces it may have
sent in all; or that nobody reads it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Self


class Going(Enum):
    """How a stream goes on after a message."""

    ON = b"+"
    ENDED = b"."
    BROKEN_OFF = b"!"


@dataclass(frozen=True, slots=True)
class Pieces:
    """What a writer sends. ``first``: the number of the first of the ``pieces``, counted from 0."""

    writer: str
    first: int
    going: Going
    pieces: Sequence[bytes] = ()

    def encode(self) -> bytes:
        """Give it as bytes. No piece may have a line break in it."""
        head = b"%s %d %s" % (self.writer.encode(), self.first, self.going.value)
        return b"\n".join((head, *self.pieces))

    @classmethod
    def decode(cls, message: bytes) -> Self:
        """Read what ``encode`` gave."""
        head, *pieces = message.split(b"\n")
        writer, first, going = head.split(b" ")
        return cls(writer.decode(), int(first), Going(going), pieces)


@dataclass(frozen=True, slots=True)
class Credit:
    """What a reader answers. ``granted``: bytes that may have been sent in all; None: it does not read (any more)."""

    writer: str
    granted: int | None

    def encode(self) -> bytes:
        """Give it as bytes."""
        return f"{self.writer} {'-' if self.granted is None else self.granted}".encode()

    @classmethod
    def decode(cls, message: bytes) -> Self:
        """Read what ``encode`` gave."""
        writer, _, granted = message.decode().partition(" ")
        return cls(writer, None if granted == "-" else int(granted))
