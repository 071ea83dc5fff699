"""The jobs' records as a whole. One adapter keeps them, for every server that speaks the Redis protocol.

Every operation is atomic and may be repeated after a lost reply without doing anything twice.
All of them raise ``StoreUnavailable`` when the server cannot be reached in time.
"""

from typing import Final, Protocol

from shared.domain.batches import Batches
from shared.domain.callbacks import ReplyReport
from shared.domain.job import Job
from shared.domain.job_intake import JobIntake
from shared.domain.job_lookup import JobLookup
from shared.domain.job_runs import JobRuns

DEFAULT_RETENTION_S: Final = 7 * 86_400.0
"""Seconds a finished job is kept: longer than the last webhook attempt (75.6 h) may take."""


class JobStore(JobIntake, JobRuns, JobLookup, Batches, Protocol):
    """All that can be done with the jobs' records. Whoever needs only one side of them asks for that."""

    async def cancel(self, team: str, job_id: str) -> Job | None:
        """Cancel a job that is not final, whoever runs it; give the job as it is then. None: no such job."""
        ...

    async def note_reply(self, team: str, job_id: str, report: ReplyReport) -> None:
        """Note on a job what became of the reply about it; without effect if there is no such job."""
        ...
