"""Batches: jobs that came together, and the port to their progress.

Every operation is atomic and may be repeated after a lost reply without doing anything twice.
All of them raise ``StoreUnavailable`` when the server cannot be reached in time.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Batch:
    """The progress of a batch.

    is_open: its lines are still coming in, so ``total`` may grow.
    webhook: a URL that gets an event when it is finished, beside the team's endpoints.
    sequence: of that event among all of the team; rises with time.
    reopened: how often it was finished before: an upload that was cut went on, or a job began anew.
    """

    id: str
    team: str
    endpoint: str | None
    created_at: float
    is_open: bool
    total: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0
    finished_at: float | None = None
    webhook: str | None = None
    sequence: int | None = None
    reopened: int = 0

    @property
    def finished(self) -> int:
        """Jobs with a final status."""
        return self.succeeded + self.failed + self.cancelled + self.expired


class Batches(Protocol):
    """The batches' records."""

    async def open_batch(self, batch: Batch) -> Batch:
        """Begin a batch; one that is there is open again, or will be with its first new job if it has ended.

        One with another webhook stays as it is, and is given so.
        """
        ...

    async def close_batch(self, team: str, batch_id: str) -> Batch:
        """Note that all lines have come in. Raises ``NotFound``."""
        ...

    async def batch(self, team: str, batch_id: str) -> Batch | None:
        """Give a batch's progress; None: this team has none by that id."""
        ...
