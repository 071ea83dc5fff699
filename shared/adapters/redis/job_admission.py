"""From a new job to a queued one: records, idempotency keys, and the jobs whose publish was never confirmed."""

from collections.abc import Sequence
from typing import Final

from shared.adapters.redis import scripts
from shared.adapters.redis.batches import BatchRecords
from shared.adapters.redis.codec import encode_facts, encode_outcome
from shared.adapters.redis.keys import FEED, TEAMS, backlog_field, of_team
from shared.adapters.redis.outbox import notices_from
from shared.adapters.redis.round_trips import RoundTrips, ScriptCall
from shared.adapters.redis.teams import Teams
from shared.domain.job import JobSpec, JobStatus
from shared.domain.job_intake import Acceptance, Accepted, IdempotencyKey, NewJob, Stranded
from shared.domain.lanes import QueueName

AT_ONCE: Final = 500
"""Jobs that travel in one round trip."""


class JobAdmission:
    """Records jobs until they are queued."""

    def __init__(self, server: RoundTrips, batches: BatchRecords, retention_ms: int) -> None:
        """``retention_ms``: milliseconds that finished jobs and idempotency keys are kept."""
        self._server = server
        self._batches = batches
        self._teams = Teams(server)
        self._retention_ms = retention_ms

    async def accept(self, jobs: Sequence[NewJob]) -> list[Accepted]:
        """Record new jobs, ``AT_ONCE`` of them in a round trip."""
        accepted: list[Accepted] = []
        for start in range(0, len(jobs), AT_ONCE):
            accepted += await self._accept(jobs[start : start + AT_ONCE])
        return accepted

    async def earlier(self, team: str, key: IdempotencyKey) -> Accepted | None:
        """Give the job that an idempotency key stands for; None: none yet."""
        found = await self._server.send(("HMGET", of_team(team).idempotency(key.key), "job", "digest"))
        if found[0] is None:
            return None
        job_id, digest = (value.decode() for value in found)
        [status] = await self._statuses([(team, job_id)])
        return Accepted(Acceptance.REPEATED if digest == key.body_digest else Acceptance.CONFLICT, job_id, status)

    async def mark_queued(self, team: str, specs: Sequence[JobSpec]) -> None:
        """Note confirmed publishes, ``AT_ONCE`` of them in a round trip."""
        keys = of_team(team)
        for start in range(0, len(specs), AT_ONCE):
            some = specs[start : start + AT_ONCE]
            jobs = [keys.job(spec.id) for spec in some]
            news = [part for spec in some for part in (spec.id, spec.status_once_published.value)]
            await self._server.run(ScriptCall(scripts.MARK_QUEUED, [keys.accepted, *jobs], news))

    async def stranded(self, older_than_s: float, limit: int) -> list[Stranded]:
        """Give jobs that were accepted long ago, of each team as many."""

        def looking(team: str, most: int) -> ScriptCall:
            return ScriptCall(scripts.STRANDED_IDS, [of_team(team).accepted], (older_than_s, most))

        ids = {
            team: [job_id.decode() for job_id in found]
            for team, found in await self._teams.some_of_each(looking, limit)
        }
        replies = await self._teams.of_each(list(ids), lambda team: _reading_messages(team, ids[team]))
        return [
            Stranded(team, job_id, message)
            for (team, of_it), messages in zip(ids.items(), replies, strict=True)
            for job_id, message in zip(of_it, messages, strict=True)
            if message is not None
        ]

    async def _accept(self, jobs: Sequence[NewJob]) -> list[Accepted]:
        # In a cluster the set of teams may live on another node, so this can miss the first job of a new team if the
        # process dies right here; the team's next job makes up for it.
        waiting = sorted({job.spec.team for job in jobs})
        note_teams = [("SADD", TEAMS, *waiting)] if waiting else []
        replies = await self._server.run_all([self._acceptance_of(job) for job in jobs], before=note_teams)
        answers = [
            (job.spec.team, Acceptance(acceptance.decode()), job_id.decode(), status.decode(), int(backlog), notices)
            for job, (acceptance, job_id, status, backlog, notices) in zip(jobs, replies, strict=True)
        ]
        earlier = list({(team, job_id) for team, _, job_id, status, _, _ in answers if not status})
        statuses = dict(zip(earlier, await self._statuses(earlier), strict=True))
        return [
            Accepted(
                acceptance,
                job_id,
                JobStatus(status) if status else statuses[team, job_id],
                backlog,
                tuple(notices_from(team, notices)),
            )
            for team, acceptance, job_id, status, backlog, notices in answers
        ]

    def _acceptance_of(self, job: NewJob) -> ScriptCall:
        spec, outcome, keys = job.spec, job.outcome, of_team(job.spec.team)
        status = JobStatus.ACCEPTED if outcome is None else outcome.status
        payload = job.message if outcome is None else encode_outcome(outcome)
        key = None if job.idempotency is None else job.idempotency.key
        names = keys.of_job(spec.id, spec.batch_id, key)
        counted_as = "" if job.counted_in is None else backlog_field(QueueName(spec.lane, job.counted_in))
        arguments = [
            *(spec.id, status.value, *encode_facts(spec), payload, self._retention_ms, FEED),
            *(counted_as, self._batches.kept_ms(spec)),
        ]
        if job.idempotency is not None:
            arguments.append(job.idempotency.body_digest)
        return ScriptCall(scripts.ACCEPT, names, arguments)

    async def _statuses(self, jobs: Sequence[tuple[str, str]]) -> list[JobStatus]:
        if not jobs:
            return []
        values = await self._server.send_all([("HGET", of_team(team).job(job_id), "status") for team, job_id in jobs])
        # A record that was lost will be made again by its message.
        return [JobStatus.QUEUED if value is None else JobStatus(value.decode()) for value in values]


def _reading_messages(team: str, ids: Sequence[str]) -> ScriptCall:
    keys = of_team(team)
    return ScriptCall(scripts.STRANDED_MESSAGES, [keys.accepted, *(keys.job(job_id) for job_id in ids)], ids)
