"""Who uses a directory: advisory locks that the kernel releases with their last holder."""

import contextlib
import fcntl
import json
import os
from pathlib import Path
from typing import Any, Final, Self

_OWNER_ONLY: Final = 0o600


class DirectoryLock:
    """A lock on a file, which also says who holds it.

    The lock belongs to the open file: a child process that inherits the descriptor holds it as
    well, after the parent has closed its own.
    """

    def __init__(self, descriptor: int) -> None:
        """Take over a descriptor that is locked already; ``acquire`` makes one."""
        self.descriptor = descriptor

    @classmethod
    def acquire(cls, path: Path) -> Self | None:
        """Lock the file, making it if needed; None if somebody else holds it."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return cls(descriptor)

    def describe(self, **facts: str | int) -> None:
        """Write down who holds it, for the one who finds it locked."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, json.dumps(facts).encode(), 0)

    def release(self) -> None:
        """Close this process's descriptor; harmless when repeated."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def holder_of(path: Path) -> dict[str, Any]:
    """Give what the last holder wrote down; empty if there is nothing to read."""
    with contextlib.suppress(OSError, ValueError):
        facts = json.loads(path.read_bytes())
        if isinstance(facts, dict):
            return facts
    return {}
