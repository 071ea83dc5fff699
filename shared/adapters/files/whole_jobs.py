"""Jobs as those see them who asked for them: with their responses, wherever these lie."""

import asyncio
from dataclasses import replace
from typing import Final

import orjson

from shared.adapters.files.filed_job_store import FiledJobStore
from shared.domain.errors import NotFound
from shared.domain.files import LargeBodies
from shared.domain.job import Job, JobError
from shared.domain.job_lookup import JobFilter, JobPage
from shared.domain.job_store import JobStore

LARGEST_PAGE_BYTES: Final = 32 * 1024 * 1024
"""Bytes from files that one page of a listing may bring; a page that would have more is shorter."""

READS_AT_ONCE: Final = 8

RESULT_LOST: Final = JobError("The job's result is gone from the file store.", "server_error", "result_lost")


class WholeJobs(FiledJobStore):
    """As ``FiledJobStore``, and reads what lies in files. Raises ``FilesUnavailable`` where that cannot be read now."""

    def __init__(self, records: JobStore, large: LargeBodies) -> None:
        """``records``: where everything but large responses is kept."""
        super().__init__(records, large)
        self._reads = asyncio.Semaphore(READS_AT_ONCE)

    async def cancel(self, team: str, job_id: str) -> Job | None:
        """Cancel a job that is not final."""
        job = await super().cancel(team, job_id)
        return None if job is None else await self._whole(job)

    async def get(self, team: str, job_id: str) -> Job | None:
        """Give a job."""
        job = await super().get(team, job_id)
        return None if job is None else await self._whole(job)

    async def list(self, team: str, job_filter: JobFilter, after: str | None, limit: int) -> JobPage:
        """Give a page of jobs; shorter, where their responses are many bytes."""
        page = _cut(await super().list(team, job_filter, after, limit))
        return JobPage(tuple(await asyncio.gather(*map(self._whole, page.jobs))), page.next_after)

    async def _whole(self, job: Job) -> Job:
        outcome = job.outcome
        if outcome is None or outcome.response_file is None:
            return job
        try:
            async with self._reads:
                body = await self._files.get(outcome.response_file.path)
        except NotFound:
            return replace(job, outcome=replace(outcome, error=RESULT_LOST))
        return replace(job, outcome=replace(outcome, response=orjson.loads(body)))


def _cut(page: JobPage) -> JobPage:
    """Cut a page whose files are too many bytes; the first job is always on it."""
    size = 0
    for number, job in enumerate(page.jobs):
        file = None if job.outcome is None else job.outcome.response_file
        size += 0 if file is None else file.size
        if number > 0 and size > LARGEST_PAGE_BYTES:
            kept = page.jobs[:number]
            return JobPage(kept, kept[-1].spec.id)
    return page
