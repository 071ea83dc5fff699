"""The port to the file store: where bodies lie that are too large for a message or a record.

All operations raise ``FilesUnavailable`` when it cannot be reached in time, and may be repeated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

DEFAULT_INLINE_LIMIT: Final = 256 * 1024
"""Bytes of JSON up to which a request stays in its message, and a response in its record."""


@dataclass(frozen=True, slots=True)
class FileReference:
    """What stands in a message or a record instead of a body: where it lies, and its size in bytes."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of a listing. ``modified_at``: seconds since the epoch, by the file store's clock."""

    path: str
    modified_at: float


class Files(Protocol):
    """The file store. A path is ``folder/…/name`` of printable characters, and stays below the store's own root."""

    async def put(self, path: str, content: bytes) -> FileReference:
        """Keep the content durably, in place of an earlier one; nobody ever sees a part of it."""
        ...

    async def get(self, path: str) -> bytes:
        """Give the content. Raises ``NotFound`` only if the store is the one that was written to and has no such file."""
        ...

    async def delete(self, path: str) -> None:
        """Remove a file; one that is not there is no error."""
        ...

    async def folders(self, folder: str) -> Sequence[str]:
        """Give the paths of the folders that lie directly in ``folder``, in their order."""
        ...

    async def list(self, folder: str, after: str | None, limit: int) -> Sequence[FoundFile]:
        """Give at most ``limit`` files below ``folder``, in the order of their paths, those after the path ``after``."""
        ...


@dataclass(frozen=True, slots=True)
class LargeBodies:
    """Where bodies go that are larger than ``inline_limit`` bytes of JSON."""

    files: Files
    inline_limit: int = DEFAULT_INLINE_LIMIT
