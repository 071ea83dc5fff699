"""The jobs' records, with what is too large for them in files. A job shows where its response lies; see ``WholeJobs``.

The file of a result is written before the record that names it, and removed by the scheduler when that is gone. A request's
file goes when its job has ended, except that of a failed job: its dead letter may be replayed.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import orjson

from shared.domain.batches import Batch
from shared.domain.callbacks import ReplyReport
from shared.domain.errors import FilesUnavailable, StoreUnavailable
from shared.domain.files import LargeBodies
from shared.domain.job import Attempt, Job, JobSpec, JobStatus, Outcome
from shared.domain.job_files import JobFile
from shared.domain.job_intake import Accepted, IdempotencyKey, NewJob, Stranded
from shared.domain.job_lookup import JobFilter, JobPage
from shared.domain.job_runs import Claim, Finish
from shared.domain.job_store import JobStore


class FiledJobStore:
    """Implements ``JobStore`` on another one and a file store."""

    def __init__(self, records: JobStore, large: LargeBodies) -> None:
        """``records``: where everything but large responses is kept."""
        self._records = records
        self._files = large.files
        self._inline_limit = large.inline_limit
        self._not_recorded: dict[str, Outcome] = {}

    async def accept(self, jobs: Sequence[NewJob]) -> list[Accepted]:
        """Record new jobs; a repeated one needs no second file."""
        accepted = await self._records.accept(jobs)
        for job, found in zip(jobs, accepted, strict=True):
            if found.job_id != job.spec.id:
                await self._drop_request(job.spec)
        return accepted

    async def earlier(self, team: str, key: IdempotencyKey) -> Accepted | None:
        """Give the job that an idempotency key stands for."""
        return await self._records.earlier(team, key)

    async def mark_queued(self, team: str, specs: Sequence[JobSpec]) -> None:
        """Note confirmed publishes."""
        await self._records.mark_queued(team, specs)

    async def claim(
        self, spec: JobSpec, worker: str, *, instead_of: str | None = None, holder_lives: bool = False
    ) -> Claim:
        """Ask to run a job."""
        return await self._records.claim(spec, worker, instead_of=instead_of, holder_lives=holder_lives)

    async def release(self, spec: JobSpec, fence: int, attempts: Sequence[Attempt]) -> bool:
        """End a run without an outcome."""
        return await self._records.release(spec, fence, attempts)

    async def finish(self, spec: JobSpec, fence: int, outcome: Outcome, attempts: Sequence[Attempt]) -> Finish:
        """Give a job its final status. A large response that the file store does not take is kept in the record."""
        path = JobFile.result_of(spec, fence).path
        kept = self._not_recorded.pop(path, None) or await self._filed(path, outcome)
        try:
            finish = await self._records.finish(spec, fence, kept, attempts)
        except StoreUnavailable:
            self._not_recorded[path] = kept  # who tries again need not write the file again
            raise
        if not finish.is_ours:
            if kept.response_file is not None:
                await self._drop(kept.response_file.path)
        elif outcome.status is not JobStatus.FAILED:
            await self._drop_request(spec)
        return finish

    async def cancel(self, team: str, job_id: str) -> Job | None:
        """Cancel a job that is not final."""
        return await self._without_request(await self._records.cancel(team, job_id))

    async def withdraw(self, team: str, job_id: str) -> Job | None:
        """Undo the acceptance of a job that is not final."""
        return await self._without_request(await self._records.withdraw(team, job_id))

    async def note_reply(self, team: str, job_id: str, report: ReplyReport) -> None:
        """Note on a job what became of the reply about it."""
        await self._records.note_reply(team, job_id, report)

    async def note_broken(self, spec: JobSpec, attempts: Sequence[Attempt]) -> None:
        """Add what was tried for a job that ended meanwhile."""
        await self._records.note_broken(spec, attempts)

    async def revive(self, spec: JobSpec, message: bytes) -> JobStatus | None:
        """Let a failed job begin anew."""
        return await self._records.revive(spec, message)

    async def get(self, team: str, job_id: str) -> Job | None:
        """Give a job."""
        return await self._records.get(team, job_id)

    async def list(self, team: str, job_filter: JobFilter, after: str | None, limit: int) -> JobPage:
        """Give a page of jobs."""
        return await self._records.list(team, job_filter, after, limit)

    async def open_batch(self, batch: Batch) -> Batch:
        """Begin a batch."""
        return await self._records.open_batch(batch)

    async def close_batch(self, team: str, batch_id: str) -> Batch:
        """Note that all lines have come in. Raises ``NotFound``."""
        return await self._records.close_batch(team, batch_id)

    async def batch(self, team: str, batch_id: str) -> Batch | None:
        """Give a batch's progress."""
        return await self._records.batch(team, batch_id)

    async def stranded(self, older_than_s: float, limit: int) -> Sequence[Stranded]:
        """Give jobs whose publish was never confirmed."""
        return await self._records.stranded(older_than_s, limit)

    async def _filed(self, path: str, outcome: Outcome) -> Outcome:
        if outcome.response is None:
            return outcome
        body = orjson.dumps(outcome.response)
        if len(body) <= self._inline_limit:
            return outcome
        try:
            reference = await self._files.put(path, body)
        except FilesUnavailable:  # it was paid for: better a large record than none
            return outcome
        return replace(outcome, response=None, response_file=reference)

    async def _without_request(self, job: Job | None) -> Job | None:
        if job is not None and job.status is JobStatus.CANCELLED:
            await self._drop_request(job.spec)
        return job

    async def _drop_request(self, spec: JobSpec) -> None:
        if spec.request_file is not None:
            await self._drop(spec.request_file.path)

    async def _drop(self, path: str) -> None:
        with suppress(FilesUnavailable):  # the scheduler removes what is left
            await self._files.delete(path)
