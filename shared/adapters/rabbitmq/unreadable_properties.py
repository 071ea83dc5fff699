"""Properties that are no UTF-8, or otherwise broken, must not end the connection.

pamqp raises on them and aiormq closes the connection, so the message is delivered again, and closes the next one: a
single message would keep everybody out. The broker accepts such messages from any client.
"""

import struct
from typing import Final

from pamqp.commands import Basic
from pamqp.header import ContentHeader

UNREADABLE: Final = "forebay-unreadable"
"""The header, our own, that such a message bears instead of its properties."""

_FIXED_PART: Final = struct.Struct(">HHQ")
"""Class, weight, body size; the properties come after it."""

_unmarshal: Final = ContentHeader.unmarshal


def tolerate_unreadable_properties() -> None:
    """Let pamqp give a message whose properties it cannot read without them. Harmless when repeated."""
    ContentHeader.unmarshal = _tolerant  # type: ignore[assignment, method-assign]  # the library has no other way in


def _tolerant(header: ContentHeader, data: bytes) -> None:
    try:
        _unmarshal(header, data)
    except Exception:  # noqa: BLE001 - strangers choose the bytes: a date of the year 300,000, tables in tables in tables
        header.class_id, header.weight, header.body_size = _FIXED_PART.unpack_from(data)
        header.properties = Basic.Properties(headers={UNREADABLE: True})
