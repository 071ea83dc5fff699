import struct

from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from shared.adapters.rabbitmq.unreadable_properties import UNREADABLE, tolerate_unreadable_properties

tolerate_unreadable_properties()

HEADERS = 1 << 13
TIMESTAMP = 1 << 6


def read(flags: int, properties: bytes) -> ContentHeader:
    header = ContentHeader()
    header.unmarshal(struct.pack(">HHQH", 60, 0, 7, flags) + properties)
    return header


def test_readable_properties_are_read() -> None:
    sent = ContentHeader(body_size=7, properties=Basic.Properties(message_id="m", headers={"a": "b"}))
    header = ContentHeader()
    header.unmarshal(sent.marshal())
    assert (header.properties.message_id, header.properties.headers) == ("m", {"a": "b"})


def test_a_date_that_is_none_and_tables_without_end_leave_the_message_readable() -> None:
    nested = b""
    for _ in range(3_000):
        nested = struct.pack(">I", len(nested) + 2) + b"\x00F" + nested if nested else struct.pack(">I", 0)
    for flags, properties in ((TIMESTAMP, b"\x7f" * 8), (HEADERS, nested)):
        header = read(flags, properties)
        assert (header.body_size, header.properties.headers) == (7, {UNREADABLE: True})


@given(st.integers(0, 0xFFFF), st.binary(max_size=64))
def test_no_bytes_make_a_message_unreadable(flags: int, properties: bytes) -> None:
    assert read(flags, properties).body_size == 7
