"""Pages of jobs, newest first. There is no index by status or priority: pages are read and filtered."""

from collections.abc import Sequence
from typing import Final

from shared.adapters.redis import scripts
from shared.adapters.redis.codec import JOB_FIELDS, job_from
from shared.adapters.redis.keys import of_team
from shared.adapters.redis.round_trips import RoundTrips, ScriptCall
from shared.domain.job import Job, JobStatus
from shared.domain.job_lookup import JobFilter, JobPage

MOST_LOOKED_AT: Final = 5_000
"""Records that one call looks at; then it gives what it has, and where to go on."""

_AT_ONCE: Final = 500


class JobListing:
    """Reads pages."""

    def __init__(self, server: RoundTrips) -> None:
        """``server``: where the records are."""
        self._server = server

    async def page(self, team: str, job_filter: JobFilter, after: str | None, limit: int) -> JobPage:
        """Give at most ``limit`` jobs that match and are older than ``after``."""
        wanted: list[str] = []
        looked_at = 0
        while looked_at < MOST_LOOKED_AT:
            # One more than is wanted tells whether there is a next page.
            count = _AT_ONCE if _looks_inside(job_filter) else min(_AT_ONCE, limit + 1 - len(wanted))
            ids = await self._ids(team, job_filter.batch_id, after, count)
            looked_at += len(ids)
            wanted += await self._matching(team, job_filter, ids)
            if len(wanted) > limit:
                return JobPage(await self._read(team, wanted[:limit]), next_after=wanted[limit - 1])
            if len(ids) < count:
                return JobPage(await self._read(team, wanted), next_after=None)
            after = ids[-1]
        return JobPage(await self._read(team, wanted), next_after=after)

    async def _ids(self, team: str, batch_id: str | None, after: str | None, count: int) -> list[str]:
        keys = of_team(team)
        index = keys.index if batch_id is None else keys.batch_jobs(batch_id)
        end = "+" if after is None else f"({after}"
        call = ScriptCall(scripts.PAGE_OF_IDS, [index, keys.expiring, keys.index], [end, count])
        return [raw.decode() for raw in await self._server.run(call)]

    async def _matching(self, team: str, job_filter: JobFilter, ids: Sequence[str]) -> Sequence[str]:
        if not ids or not _looks_inside(job_filter):
            return ids
        keys = [of_team(team).job(job_id) for job_id in ids]
        arguments = [job_filter.priority or "", *_statuses(job_filter.status)]
        positions = await self._server.run(ScriptCall(scripts.MATCHING_JOBS, keys, arguments))
        return [ids[position - 1] for position in positions]

    async def _read(self, team: str, ids: Sequence[str]) -> tuple[Job, ...]:
        if not ids:
            return ()
        keys = of_team(team)
        records = await self._server.send_all([("HMGET", keys.job(job_id), *JOB_FIELDS) for job_id in ids])
        return tuple(job for job in map(job_from, records) if job is not None)


def _looks_inside(job_filter: JobFilter) -> bool:
    return job_filter.status is not None or job_filter.priority is not None


def _statuses(wanted: JobStatus | None) -> list[str]:
    """Give the statuses that a client would call ``wanted``."""
    return [] if wanted is None else [status.value for status in JobStatus if wanted in (status, status.shown)]
