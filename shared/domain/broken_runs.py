"""The port to what was tried for a job that ended while it ran."""

from collections.abc import Sequence
from typing import Protocol

from shared.domain.job import Attempt, JobSpec


class BrokenRuns(Protocol):
    """Whoever ends a job that runs elsewhere knows nothing of the call that is broken off by it; its worker adds that."""

    async def note_broken(self, spec: JobSpec, attempts: Sequence[Attempt]) -> None:
        """Add attempts to a job that was cancelled or has expired; of any other, nothing. Raises ``StoreUnavailable``.

        Added twice in a row they are there once.
        """
        ...
