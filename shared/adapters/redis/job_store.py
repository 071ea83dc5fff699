"""The jobs' records in Redis.

A record is one hash. Every change of it is one script, which also keeps the indexes and the batch's
counts. A record that is gone is taken for lost and made again by ``claim``, ``release`` or ``finish``;
a message that arrives after the retention is over therefore runs its job anew. Jobs that end before their
message comes (cancelled, expired) are known until it can come no more.
"""

import secrets
from collections.abc import Sequence
from typing import Any

from shared.adapters.redis import scripts
from shared.adapters.redis.batches import BatchRecords
from shared.adapters.redis.codec import (
    JOB_FIELDS,
    attempts_from,
    encode_attempts,
    encode_facts,
    encode_outcome,
    encode_reply,
    job_from,
)
from shared.adapters.redis.connection import Client
from shared.adapters.redis.gathered_reads import GatheredReads
from shared.adapters.redis.job_admission import JobAdmission
from shared.adapters.redis.job_listing import JobListing
from shared.adapters.redis.keys import FEED, of_team
from shared.adapters.redis.outbox import notices_from
from shared.adapters.redis.round_trips import Argument, RoundTrips, ScriptCall
from shared.domain.batches import Batch
from shared.domain.callbacks import ReplyReport
from shared.domain.job import Attempt, Job, JobSpec, JobStatus, Outcome
from shared.domain.job_intake import Accepted, IdempotencyKey, NewJob, Stranded
from shared.domain.job_lookup import JobFilter, JobPage
from shared.domain.job_runs import Claim, ClaimResult, Finish
from shared.domain.job_store import DEFAULT_RETENTION_S
from shared.domain.lanes import DEFERRABLE_WINDOWS


class RedisJobStore:
    """Implements ``JobStore``."""

    def __init__(
        self,
        client: Client,
        retention_s: float = DEFAULT_RETENTION_S,
        longest_window_s: float = DEFERRABLE_WINDOWS[-1].seconds,
    ) -> None:
        """``retention_s``: seconds a finished job and a finished batch are kept.

        ``longest_window_s``: seconds a message may wait; what was cancelled before it came is known for as long.
        """
        self._longest_window_s = longest_window_s
        self._server = RoundTrips(client)
        self._retention_ms = int(retention_s * 1000)
        self._batches = BatchRecords(self._server, self._retention_ms, longest_window_s)
        self._admission = JobAdmission(self._server, self._batches, self._retention_ms)
        self._listing = JobListing(self._server)
        self._reads = GatheredReads(self._server)

    async def accept(self, jobs: Sequence[NewJob]) -> list[Accepted]:
        """Record new jobs; a long list travels in several round trips, so it may be recorded in part."""
        return await self._admission.accept(jobs)

    async def earlier(self, team: str, key: IdempotencyKey) -> Accepted | None:
        """Give the job that an idempotency key stands for; None: none yet."""
        return await self._admission.earlier(team, key)

    async def mark_queued(self, team: str, specs: Sequence[JobSpec]) -> None:
        """Note confirmed publishes."""
        await self._admission.mark_queued(team, specs)

    async def claim(
        self, spec: JobSpec, worker: str, *, instead_of: str | None = None, holder_lives: bool = False
    ) -> Claim:
        """Ask to run a job."""
        run = (spec.id, worker, instead_of or "", secrets.token_bytes(12))
        arguments = (*run, *encode_facts(spec), int(holder_lives))
        result, fence, holder, starts, lost, attempts = await self._run(scripts.CLAIM, spec, arguments)
        granted = ClaimResult(result.decode())
        return Claim(granted, int(fence), holder.decode(), int(starts), int(lost), attempts_from(attempts))

    async def release(self, spec: JobSpec, fence: int, attempts: Sequence[Attempt]) -> bool:
        """End a run without an outcome."""
        arguments = (spec.id, fence, encode_attempts(attempts), *encode_facts(spec))
        return bool(await self._run(scripts.RELEASE, spec, arguments))

    async def finish(self, spec: JobSpec, fence: int, outcome: Outcome, attempts: Sequence[Attempt]) -> Finish:
        """Give a job its final status."""
        arguments = (
            *(spec.id, fence, encode_attempts(attempts), *encode_facts(spec)),
            *(outcome.status.value, encode_outcome(outcome), self._retention_ms, FEED),
        )
        is_ours, notices = await self._run(scripts.FINISH, spec, arguments)
        return Finish(bool(is_ours), tuple(notices_from(spec.team, notices)))

    async def cancel(self, team: str, job_id: str) -> Job | None:
        """Cancel a job that is not final."""
        return await self._cancel(team, job_id, is_withdrawn=False)

    async def withdraw(self, team: str, job_id: str) -> Job | None:
        """Undo the acceptance of a job that is not final."""
        return await self._cancel(team, job_id, is_withdrawn=True)

    async def note_reply(self, team: str, job_id: str, report: ReplyReport) -> None:
        """Note on a job what became of the reply about it."""
        await self._server.run(ScriptCall(scripts.NOTE_REPLY, [of_team(team).job(job_id)], [encode_reply(report)]))

    async def note_broken(self, spec: JobSpec, attempts: Sequence[Attempt]) -> None:
        """Add what was tried for a job that ended meanwhile."""
        if attempts:
            keys = [of_team(spec.team).job(spec.id)]
            await self._server.run(ScriptCall(scripts.NOTE_BROKEN, keys, [encode_attempts(attempts)]))

    async def revive(self, spec: JobSpec, message: bytes) -> JobStatus | None:
        """Let a failed job begin anew."""
        arguments = (spec.id, *encode_facts(spec), message, self._batches.kept_ms(spec))
        status = await self._run(scripts.REVIVE, spec, arguments)
        return JobStatus(status.decode()) if status else None

    async def get(self, team: str, job_id: str) -> Job | None:
        """Give a job."""
        return job_from(await self._reads.send(("HMGET", of_team(team).job(job_id), *JOB_FIELDS)))

    async def list(self, team: str, job_filter: JobFilter, after: str | None, limit: int) -> JobPage:
        """Give a page of jobs; a call looks at a bounded number of records."""
        return await self._listing.page(team, job_filter, after, limit)

    async def open_batch(self, batch: Batch) -> Batch:
        """Begin a batch, or go on with it."""
        return await self._batches.open(batch)

    async def close_batch(self, team: str, batch_id: str) -> Batch:
        """Note that all lines have come in. Raises ``NotFound``."""
        return await self._batches.close(team, batch_id)

    async def batch(self, team: str, batch_id: str) -> Batch | None:
        """Give a batch's progress."""
        return await self._batches.get(team, batch_id)

    async def stranded(self, older_than_s: float, limit: int) -> Sequence[Stranded]:
        """Give jobs whose publish was never confirmed."""
        return await self._admission.stranded(older_than_s, limit)

    async def _cancel(self, team: str, job_id: str, *, is_withdrawn: bool) -> Job | None:
        job = await self.get(team, job_id)
        if job is None or job.status.is_final:
            return job
        outcome = encode_outcome(Outcome(JobStatus.CANCELLED))
        arguments = (
            *(job_id, outcome, self._retention_ms, FEED, job.spec.comes_at, self._longest_window_s),
            *(int(is_withdrawn), *JOB_FIELDS),
        )
        return job_from(await self._run(scripts.CANCEL, job.spec, arguments))

    async def _run(self, script: scripts.Script, spec: JobSpec, arguments: Sequence[Argument]) -> Any:  # noqa: ANN401 - the reply has the script's type
        keys = of_team(spec.team).of_job(spec.id, spec.batch_id, spec.idempotency_key)
        return await self._server.run(ScriptCall(script, keys, arguments))
