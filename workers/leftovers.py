"""What is left to do for a job whose result is stored, when a crash may have come before the rest of it."""

from dataclasses import dataclass, replace
from typing import Final

from shared.domain.events import Emit, MessageBuried
from shared.domain.job import JobSpec, JobStatus, Outcome
from shared.domain.job_lookup import JobLookup
from shared.domain.notices import Announcer
from shared.domain.work_queue import Delivery, Message, WorkQueue
from workers.settlement import Settlement

PASSED_ON: Final = "passed-on"
"""The header of a copy that was published while somebody may have run the job: the copy is not ``redelivered``."""


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Does what whoever stored a result does after it. All of it may be done twice."""

    store: JobLookup
    queue: WorkQueue
    settlement: Settlement
    announcer: Announcer
    emit: Emit

    async def look_for(self, delivery: Delivery, spec: JobSpec) -> None:
        """Do what a crash may have left of a finished job. Raises ``Unavailable``."""
        if not delivery.redelivered and PASSED_ON not in delivery.message.headers:
            return  # nobody had it before
        job = await self.store.get(spec.team, spec.id)
        if job is not None and job.outcome is not None and job.status is not JobStatus.CANCELLED:
            await self.settlement.settle(spec, job.outcome)
            if job.status is JobStatus.FAILED:
                await self.bury(delivery, job.outcome)
        await self.announcer.tell_what_is_left_of(spec)

    async def bury(self, delivery: Delivery, outcome: Outcome) -> None:
        """Put the message of a failed job among the dead letters."""
        reason = outcome.error.code if outcome.error else outcome.status.value
        await self.queue.bury(delivery.message, reason, delivery.queue)
        self.emit(MessageBuried(delivery.message.job_id, reason))


def passed_on(message: Message) -> Message:
    """Give the copy for whoever looks at the job later."""
    return replace(message, headers={**message.headers, PASSED_ON: "1"})
