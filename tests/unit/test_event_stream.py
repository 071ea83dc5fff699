"""Server-sent events, cut anywhere, in every form that the standard allows."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.wire.event_stream import EventStreamReader, StreamEvent

STREAM = (
    b"\xef\xbb\xbf: a comment\n\n"
    b"data: one\n\n"
    b"data:two\r\ndata:  lines\r\n\r\n"
    b"event: error\rdata: three\r\r"
    b"id: 7\nretry: 10\n\n"
    b"event: lost with its empty event\n\n"
    b"data\n\n"
    b": keep-alive\n\ndata: {}\n\n"
)
EVENTS = [
    StreamEvent("message", b"one"),
    StreamEvent("message", b"two\n lines"),
    StreamEvent("error", b"three"),
    StreamEvent("message", b""),
    StreamEvent("message", b"{}"),
]


@given(st.lists(st.integers(0, len(STREAM))))
def test_events_are_the_same_wherever_the_network_cuts_them(cuts: list[int]) -> None:
    reader = EventStreamReader()
    places = [0, *sorted(cuts), len(STREAM)]
    parts = [STREAM[start:end] for start, end in itertools.pairwise(places)]
    assert [event for part in parts for event in reader.feed(part)] == EVENTS
    assert reader.end() is None


@pytest.mark.parametrize("tail", [b"data: last", b"data: last\n", b"data: last\r"])
def test_an_event_cut_short_by_the_end_is_told_apart(tail: bytes) -> None:
    reader = EventStreamReader()
    assert list(reader.feed(b"data: one\n\n" + tail)) == [StreamEvent("message", b"one")]
    assert reader.end() == StreamEvent("message", b"last")
