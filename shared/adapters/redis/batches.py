"""The records of batches. Jobs are counted in them by the scripts that accept and finish jobs."""

from shared.adapters.redis import scripts
from shared.adapters.redis.codec import batch_fields, batch_from
from shared.adapters.redis.keys import TEAMS, of_team
from shared.adapters.redis.round_trips import RoundTrips, ScriptCall
from shared.domain.batches import Batch
from shared.domain.errors import NotFound
from shared.domain.job import JobSpec
from shared.domain.lanes import DeferrableWindow


class BatchRecords:
    """A finished batch is kept for the retention, or until its webhook's last attempt, if that is later.

    One that is not finished is kept for twice the retention after its last change, or for as long as its jobs may wait.
    """

    def __init__(self, server: RoundTrips, retention_ms: int, longest_window_s: float) -> None:
        """``retention_ms``: milliseconds. ``longest_window_s``: seconds that a job without a deadline may wait."""
        self._server = server
        self._retention_ms = retention_ms
        self._windows = (DeferrableWindow("the longest", longest_window_s),)

    def kept_ms(self, spec: JobSpec) -> int:
        """Give the milliseconds for which the batch of a job that is not finished is kept at least."""
        waits_until = max(spec.comes_at, spec.due_at(self._windows) or 0.0)
        waits_ms = max(0, int((waits_until - spec.created_at) * 1000))
        return self._retention_ms + max(self._retention_ms, waits_ms)

    async def open(self, batch: Batch) -> Batch:
        """Begin a batch, or go on with the one that is there."""
        keys = [of_team(batch.team).batch(batch.id), of_team(batch.team).open_batches]
        arguments = [batch.id, 2 * self._retention_ms, batch.webhook or "", *batch_fields(batch)]
        opening = ScriptCall(scripts.OPEN_BATCH, keys, arguments)
        [values] = await self._server.run_all([opening], before=[("SADD", TEAMS, batch.team)])
        opened = batch_from(values)
        if opened is None:
            raise NotFound(f"There is no batch {batch.id}: its retention is zero.")
        return opened

    async def close(self, team: str, batch_id: str) -> Batch:
        """Note that all jobs have come in. Raises ``NotFound``."""
        arguments = (batch_id, self._retention_ms)
        closing = ScriptCall(scripts.CLOSE_BATCH, of_team(team).closing_batch(batch_id), arguments)
        closed = batch_from(await self._server.run(closing))
        if closed is None:
            raise NotFound(f"There is no batch {batch_id}.")
        return closed

    async def get(self, team: str, batch_id: str) -> Batch | None:
        """Give a batch; None: this team has none by that id."""
        return batch_from(await self._server.send(("HGETALL", of_team(team).batch(batch_id))))
