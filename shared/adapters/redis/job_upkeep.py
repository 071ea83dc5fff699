"""What must happen to jobs though nobody takes them: team by team, each job in one script."""

from collections.abc import Sequence
from typing import Final

from shared.adapters.redis import scripts
from shared.adapters.redis.codec import JOB_FIELDS, encode_outcome, job_from
from shared.adapters.redis.connection import Client
from shared.adapters.redis.keys import FEED, of_team
from shared.adapters.redis.outbox import notices_from
from shared.adapters.redis.round_trips import RoundTrips, ScriptCall
from shared.adapters.redis.teams import Teams
from shared.domain.job import EXPIRED, Job
from shared.domain.job_intake import Stranded
from shared.domain.job_store import DEFAULT_RETENTION_S
from shared.domain.job_upkeep import BATCH_LEASE_S, LONG_OVERDUE_S, ExpiredJob, SealedBatch
from shared.domain.lanes import DEFERRABLE_WINDOWS

AT_ONCE: Final = 200
"""Jobs that travel in one round trip."""


class RedisJobUpkeep:
    """Implements ``JobUpkeep``."""

    def __init__(
        self,
        client: Client,
        retention_s: float = DEFAULT_RETENTION_S,
        longest_window_s: float = DEFERRABLE_WINDOWS[-1].seconds,
    ) -> None:
        """``retention_s``, ``longest_window_s``: as ``RedisJobStore`` has them."""
        self._longest_window_s = longest_window_s
        self._server = RoundTrips(client)
        self._teams = Teams(self._server)
        self._retention_ms = int(retention_s * 1000)

    async def expire(self, most: int, long_overdue_s: float = LONG_OVERDUE_S) -> list[ExpiredJob]:
        """End jobs whose deadline is over."""
        expired: list[ExpiredJob] = []
        for team in await self._teams_with_a_deadline("", 0.0):
            left_alone = 0
            while len(expired) < most:
                ids = await self._ids(team, "", 0.0, left_alone, min(AT_ONCE, most - len(expired)))
                if not ids:
                    break
                ended = await self._end(team, ids, long_overdue_s)
                expired += ended
                left_alone += len(ids) - len(ended)
        return expired

    async def close_to_deadline(self, within_s: float, most: int) -> Sequence[Job]:
        """Give unfinished jobs whose deadline comes soon."""
        found: list[Job] = []
        for team in await self._teams_with_a_deadline(0.0, within_s):
            passed_over = 0
            while len(found) < most:
                ids = await self._ids(team, 0.0, within_s, passed_over, min(AT_ONCE, most - len(found)))
                if not ids:
                    break
                found += [job for job in await self._jobs(team, ids) if job is not None]
                passed_over += len(ids)
        return found

    async def forget(self, most: int) -> int:
        """Take jobs whose retention is over out of the listings."""
        return await self._teams.forget(lambda team: (of_team(team).index, of_team(team).expiring), most)

    async def pass_over(self, jobs: Sequence[Stranded]) -> None:
        """Send stranded jobs behind the others."""
        by_team: dict[str, list[str]] = {}
        for job in jobs:
            by_team.setdefault(job.team, []).append(job.job_id)

        def passing(team: str) -> ScriptCall:
            return ScriptCall(scripts.PASS_OVER_STRANDED, [of_team(team).accepted], by_team[team])

        await self._teams.of_each(list(by_team), passing)

    async def seal(self, most: int, lease_s: float = BATCH_LEASE_S) -> list[SealedBatch]:
        """Close batches whose upload nobody goes on with, of each team as many."""

        def looking(team: str, limit: int) -> ScriptCall:
            return ScriptCall(scripts.ABANDONED_BATCHES, [of_team(team).open_batches], (lease_s, limit))

        found = await self._teams.some_of_each(looking, most)
        batches = [(team, batch_id.decode()) for team, some in found for batch_id in some]
        calls = [
            ScriptCall(
                scripts.SEAL_BATCH, of_team(team).closing_batch(batch_id), (batch_id, self._retention_ms, lease_s)
            )
            for team, batch_id in batches
        ]
        return [
            SealedBatch(team, batch_id, tuple(notices_from(team, notices)))
            for (team, batch_id), notices in zip(batches, await self._server.run_all(calls), strict=True)
            if notices is not None
        ]

    async def _teams_with_a_deadline(self, earliest: float | str, latest: float) -> list[str]:
        return await self._teams.with_any(lambda team, most: self._looking(team, earliest, latest, 0, most))

    def _looking(self, team: str, earliest: float | str, latest: float, passed_over: int, limit: int) -> ScriptCall:
        arguments = (earliest, latest, passed_over, limit)
        return ScriptCall(scripts.IDS_BY_DEADLINE, [of_team(team).deadlines], arguments)

    async def _ids(self, team: str, earliest: float | str, latest: float, passed_over: int, limit: int) -> list[str]:
        ids = await self._server.run(self._looking(team, earliest, latest, passed_over, limit))
        return [job_id.decode() for job_id in ids]

    async def _jobs(self, team: str, ids: Sequence[str]) -> list[Job | None]:
        found = await self._server.send_all([("HMGET", of_team(team).job(job_id), *JOB_FIELDS) for job_id in ids])
        return [job_from(values) for values in found]

    async def _end(self, team: str, ids: Sequence[str], long_overdue_s: float) -> list[ExpiredJob]:
        jobs = dict(zip(ids, await self._jobs(team, ids), strict=True))
        calls = [self._ending(team, job_id, job, long_overdue_s) for job_id, job in jobs.items()]
        ended: list[ExpiredJob] = []
        for is_ended, *rest in await self._server.run_all(calls):
            if is_ended:
                notices, values = rest
                job = job_from(values)
                assert job is not None
                ended.append(ExpiredJob(job, tuple(notices_from(team, notices))))
        return ended

    def _ending(self, team: str, job_id: str, job: Job | None, long_overdue_s: float) -> ScriptCall:
        of_it = of_team(team)
        spec = None if job is None else job.spec
        keys = of_it.of_job(job_id, *((spec.batch_id, spec.idempotency_key) if spec else (None,)))
        arguments = (
            *(job_id, encode_outcome(EXPIRED), self._retention_ms, FEED),
            *(spec.comes_at if spec else 0, self._longest_window_s, long_overdue_s, *JOB_FIELDS),
        )
        return ScriptCall(scripts.EXPIRE_JOB, keys, arguments)
