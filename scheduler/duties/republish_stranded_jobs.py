"""Publish the jobs that were recorded and, because of a crash in between, never confirmed by the broker."""

from typing import Final

from scheduler.duties.parts import DutyParts
from shared.domain.errors import MalformedMessage, Unroutable
from shared.domain.events import JobsStayStranded
from shared.domain.job_intake import Stranded
from shared.domain.work_queue import Message
from shared.wire.envelope import decode

STRANDED_AFTER_S: Final = 15.0
"""Seconds: well beyond the time a publish may take, so that no submission under way is met."""

AT_ONCE: Final = 500


class RepublishStrandedJobs:
    """A duty. Running it twice at once does no harm: a job is run by whoever claims it."""

    def __init__(self, parts: DutyParts, stranded_after_s: float = STRANDED_AFTER_S) -> None:
        """Look in the store, publish to the queues."""
        self._parts = parts
        self._stranded_after_s = stranded_after_s

    async def __call__(self) -> int:
        """Do it; give the number of jobs published. Raises ``Unavailable``.

        What cannot be published is announced, and left until the others have had their turn.
        """
        stranded = await self._parts.store.stranded(self._stranded_after_s, AT_ONCE)
        problems: dict[str, list[Stranded]] = {}
        for job in stranded:
            try:
                await self._publish(job)
            except (Unroutable, MalformedMessage) as error:  # its lane is configured no more; the others' are
                problems.setdefault(error.message, []).append(job)
        for problem, jobs in problems.items():
            await self._parts.upkeep.pass_over(jobs)
            self._parts.emit(JobsStayStranded(len(jobs), jobs[0].job_id, problem))
        return len(stranded) - sum(map(len, problems.values()))

    async def _publish(self, job: Stranded) -> None:
        spec = decode(job.message).spec
        now = self._parts.clock.now()
        queue = spec.queue(spec.starts_at(now), self._parts.windows)
        await self._parts.queue.publish(queue, Message(job.message, job.job_id), spec.wait_s(now))
        await self._parts.store.mark_queued(job.team, [spec])
