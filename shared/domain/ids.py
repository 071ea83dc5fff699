"""Sortable identifiers: a prefix, then 26 characters whose order is the order of creation."""

import secrets
from typing import Final

from shared.domain.randomness import RandomBits

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32 in lower case: no i, l, o or u."""

_TIME_CHARS: Final = 10
_RANDOM_CHARS: Final = 16
_RANDOM_BITS: Final = 80


def new_id(prefix: str, now: float, random_bits: RandomBits = secrets.randbits) -> str:
    """Make an identifier such as ``job_01k9…``.

    The layout is that of a ULID (48 bits of milliseconds, 80 random bits), in lower case, so
    that identifiers of one prefix sort by the time ``now`` (seconds since the epoch).
    """
    return f"{prefix}_{_encode(int(now * 1000), _TIME_CHARS)}{_encode(random_bits(_RANDOM_BITS), _RANDOM_CHARS)}"


def created_at(identifier: str) -> float | None:
    """Give the creation time in an identifier (seconds since the epoch), or None if it is not one of ours."""
    encoded = identifier.rpartition("_")[2]
    if len(encoded) != _TIME_CHARS + _RANDOM_CHARS or any(char not in ALPHABET for char in encoded):
        return None
    milliseconds = 0
    for char in encoded[:_TIME_CHARS]:
        milliseconds = milliseconds * len(ALPHABET) + ALPHABET.index(char)
    return milliseconds / 1000


def is_id(prefix: str, text: str) -> bool:
    """Tell whether a text may be one of our identifiers with that prefix."""
    return text.startswith(f"{prefix}_") and text.count("_") == 1 and created_at(text) is not None


def _encode(number: int, length: int) -> str:
    digits: list[str] = []
    for _ in range(length):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
