"""Cancelling a job, and what must follow, whoever asks for it."""

from contextlib import suppress

from producer_api.parts import ApiParts
from shared.domain.allowances import settle_unfinished
from shared.domain.errors import Unavailable
from shared.domain.job import Job, JobStatus
from shared.domain.notices import Announcer


class Cancellation:
    """Ends jobs before their time."""

    def __init__(self, parts: ApiParts) -> None:
        """Use the ports in ``parts``."""
        self._store = parts.store
        self._allowances = parts.allowances
        self._announcer = Announcer(parts.queue, parts.outbox)

    async def cancel(self, team: str, job_id: str) -> Job | None:
        """Cancel a job that is not final, and give it as it is then. None: the team has none by that id.

        Raises:
            StoreUnavailable: it may be cancelled or not.
        """
        job = await self._store.cancel(team, job_id)
        if job is not None and job.status is JobStatus.CANCELLED:
            await settle_unfinished(self._allowances, job)
            await self._tell(job)
        return job

    async def _tell(self, job: Job) -> None:
        """Publish the notices of its end; what cannot be published now, the scheduler will."""
        with suppress(Unavailable):
            await self._announcer.tell_what_is_left_of(job.spec)
