"""Reading server-sent events, as the HTML standard interprets an event stream (section 9.2.6)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """An event. ``name``: its type, ``message`` where it has none. ``data``: its lines, joined by line feeds."""

    name: str
    data: bytes


class EventStreamReader:
    """Takes bytes as they come, cut anywhere, and gives the events that are complete.

    Ids and times to reconnect are of no use here: nothing is asked for again.
    """

    def __init__(self) -> None:
        """Begin at the beginning of a stream."""
        self._rest = b""
        self._skips_line_feed = False
        self._is_at_the_beginning = True
        self._name = ""
        self._data: list[bytes] = []

    def feed(self, received: bytes) -> Iterator[StreamEvent]:
        """Yield the events that are complete with these bytes."""
        for line in self._lines(received):
            if line:
                self._take(line)
            elif self._data:
                yield self._event()
            else:
                self._name = ""

    def end(self) -> StreamEvent | None:
        """Give the event that the end of the stream cut short, if there is one. By the standard it does not count."""
        if self._rest:
            self._take(self._rest)
            self._rest = b""
        return self._event() if self._data else None

    def _lines(self, received: bytes) -> list[bytes]:
        if self._skips_line_feed and received:
            received = received.removeprefix(b"\n")
            self._skips_line_feed = False
        text = self._rest + received
        if self._is_at_the_beginning:
            if len(text) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(text):
                self._rest = text
                return []
            text = text.removeprefix(_BYTE_ORDER_MARK)
            self._is_at_the_beginning = False
        lines = text.splitlines(keepends=True)
        self._rest = lines.pop() if lines and not lines[-1].endswith((b"\n", b"\r")) else b""
        self._skips_line_feed = bool(lines) and not self._rest and lines[-1].endswith(b"\r")
        return [line.rstrip(b"\r\n") for line in lines]

    def _take(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value.decode(errors="replace")

    def _event(self) -> StreamEvent:
        event = StreamEvent(self._name or "message", b"\n".join(self._data))
        self._name, self._data = "", []
        return event
