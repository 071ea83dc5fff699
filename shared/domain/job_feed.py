"""The port to the announcements that jobs have ended."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from shared.domain.job import JobStatus


@dataclass(frozen=True, slots=True)
class JobChange:
    """A job reached a final status."""

    job_id: str
    status: JobStatus


class JobFeed(Protocol):
    """Announcements of final statuses, to everybody who listens now. They may be lost: read the store as well."""

    def follow(self) -> AsyncGenerator[JobChange | None]:
        """Yield changes until it is closed, which its caller must see to; reconnects by itself.

        Yields None each time the subscription has been made (at first, and after a loss): whatever happened
        before may have been missed, and everything after will come.
        """
        ...
