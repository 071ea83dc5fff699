"""Cancelling a job, and what must follow, whoever asks for it."""

from contextlib import suppress

from producer_api.parts import ApiParts
from shared.domain.errors import StoreUnavailable, Unavailable
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
            await self._settle(job)
            await self._tell(job)
        return job

    async def _settle(self, job: Job) -> None:
        """Give back the tokens of a job that never ran. What was under way may have used them: its charge stands."""
        charged = job.spec.charged_tokens
        if charged is not None:
            with suppress(StoreUnavailable):
                await self._allowances.settle(job.spec, (1.0, 0.0 if job.started_at is None else charged))

    async def _tell(self, job: Job) -> None:
        """Publish the notices of its end; what cannot be published now, the scheduler will."""
        with suppress(Unavailable):
            await self._announcer.tell_what_is_left(job.spec.team, list(filter(None, (job.spec.id, job.spec.batch_id))))
