"""A message as a stream's entry carries it: ``b`` the body, ``j`` the job's id, ``h`` the headers as JSON.

``r`` marks an entry that was delivered before, ``s`` tells its first arrival, ``reason`` stands on dead letters.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from shared.domain.work_queue import DeadLetter, Message

REDELIVERED: Final = b"r"

_LONGEST_REASON: Final = 1_000

RawEntry = tuple[bytes, Sequence[bytes]]
"""An entry's id, and its names and values in turns."""


def words_of(message: Message, reason: str = "") -> tuple[bytes, str, bytes, str]:
    """Give body, job id, headers and reason, in the order in which the script takes them."""
    return message.body, message.job_id, orjson.dumps(dict(message.headers)), reason[:_LONGEST_REASON]


def fields_of(entry: RawEntry) -> dict[bytes, bytes]:
    """Give an entry's fields by their names."""
    words = entry[1]
    return dict(zip(words[::2], words[1::2], strict=True))


def message_in(fields: Mapping[bytes, bytes]) -> Message:
    """Give what was published; parts that a stranger left out, or wrote in another way, are empty."""
    return Message(
        body=fields.get(b"b", b""),
        job_id=fields.get(b"j", b"").decode(errors="replace"),
        headers=_headers_in(fields.get(b"h", b"{}")),
    )


def dead_letter_in(fields: Mapping[bytes, bytes]) -> DeadLetter:
    """Give the message and why it is dead."""
    return DeadLetter(message_in(fields), fields.get(b"reason", b"reason unknown").decode(errors="replace"))


def _headers_in(text: bytes) -> dict[str, str]:
    try:
        headers = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return headers if isinstance(headers, dict) else {}
