"""A message as a stream's entry carries it: ``b`` the body, ``j`` the job's id, ``h`` the headers as JSON.

``r`` marks an entry that was delivered before, ``s`` tells its first arrival. On dead letters stand ``reason``, and the
``lane`` and ``class`` of the queue they came from, if that is known; their id tells when they died.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from shared.domain.lanes import JobClass, QueueName
from shared.domain.work_queue import DeadLetter, Message

REDELIVERED: Final = b"r"

_LONGEST_REASON: Final = 1_000

RawEntry = tuple[bytes, Sequence[bytes]]
"""An entry's id, and its names and values in turns."""


def words_of(
    message: Message, reason: str = "", origin: QueueName | None = None
) -> tuple[bytes, str, bytes, str, str, str]:
    """Give body, job id, headers, reason, lane and class, in the order in which the script takes them."""
    lane, job_class = ("", "") if origin is None else (origin.lane, origin.job_class.name)
    headers = orjson.dumps(dict(message.headers))
    return message.body, message.job_id, headers, reason[:_LONGEST_REASON], lane, job_class


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


def dead_letter_in(entry: RawEntry) -> DeadLetter:
    """Give the message, why and when it died, and where it came from."""
    fields = fields_of(entry)
    reason = fields.get(b"reason", b"reason unknown").decode(errors="replace")
    lane, job_class = (fields.get(name, b"").decode(errors="replace") for name in (b"lane", b"class"))
    queue = QueueName(lane, JobClass(job_class)) if lane and job_class else None
    return DeadLetter(message_in(fields), reason, int(entry[0].partition(b"-")[0]) / 1_000, queue)


def _headers_in(text: bytes) -> dict[str, str]:
    try:
        headers = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return headers if isinstance(headers, dict) else {}
