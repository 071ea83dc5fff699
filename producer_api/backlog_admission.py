"""Whether there is room for a job in its lane, and when it would have its turn; and whether it waits in the surplus."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Final

from producer_api.drafts import Draft
from producer_api.outlooks import Outlooks
from producer_api.parts import ApiParts
from shared.domain.backlog import Full, LaneOutlook, Projection, Room, TooLate, judge
from shared.domain.errors import BacklogFull, DeadlineCannotBeMet, TooManyRequests
from shared.domain.job import JobSpec
from shared.domain.job_intake import Accepted
from shared.domain.lanes import QueueName
from shared.domain.token_estimate import TokenEstimator
from shared.wire.moments import format_moment

MOST_REMEMBERED: Final = 10_000
"""Backlogs of teams, each in a class of a lane, that are remembered for estimates."""

REMEMBERED_S: Final = 10.0
"""Seconds after which a remembered backlog of a team says nothing any more."""


class BacklogAdmission:
    """Judges the jobs that would have to wait."""

    def __init__(self, parts: ApiParts, outlooks: Outlooks) -> None:
        """``outlooks`` knows the lanes."""
        self._parts = parts
        self._outlooks = outlooks
        self._estimator = TokenEstimator()
        self._awaited: dict[str, QueueName] = {}
        self._on_the_way: dict[str, QueueName] = {}
        self._coming: Counter[tuple[str, QueueName]] = Counter()
        self._backlogs: OrderedDict[tuple[str, QueueName], tuple[int, float]] = OrderedDict()

    async def judge(self, drafts: Sequence[Draft]) -> list[Draft | TooManyRequests]:
        """Give each draft with the moment its job is expected to start at, or why there is no room for it.

        A job that was accepted before, by its idempotency key, is not refused. Those that are let in count as if they
        waited already, until they do (``arrived``) or do not come (``forget``). Raises ``StoreUnavailable``.
        """
        lanes = {draft.spec.lane for draft in drafts if draft.outcome is None}
        await asyncio.gather(*map(self._outlooks.of, lanes))
        judged: list[Draft | TooManyRequests] = []
        try:
            for draft in drafts:
                verdict = draft if draft.outcome is not None else await self._judge(draft)
                judged.append(verdict)
        except BaseException:
            self.forget(judged)
            raise
        return judged

    def queue_of(self, spec: JobSpec, starts_at: float, accepted: Accepted) -> QueueName:
        """Give the queue a recorded job waits in from ``starts_at`` (seconds since the epoch) on."""
        queue = self._with_its_share(spec, spec.queue(starts_at, self._parts.windows), accepted.backlog)
        if accepted.backlog:
            self._remember(spec.team, queue, accepted.backlog)
        counted_in = self._no_longer_awaited(spec)
        if counted_in is not None:
            self._on_the_way[spec.id] = counted_in
        return queue

    def arrived(self, spec: JobSpec) -> None:
        """Note that the message of a recorded job is in its queue."""
        queue = self._on_the_way.pop(spec.id, None)
        if queue is not None:
            self._outlooks.arrived(queue.lane, queue.job_class, spec.team)

    def forget(self, drafts: Sequence[Draft | TooManyRequests]) -> None:
        """Count those of the judged drafts no more that did not come, after all."""
        for spec in (draft.spec for draft in drafts if isinstance(draft, Draft)):
            queue = self._no_longer_awaited(spec) or self._on_the_way.pop(spec.id, None)
            if queue is not None:
                self._outlooks.left(queue.lane, queue.job_class, spec.team)

    async def _judge(self, draft: Draft) -> Draft | TooManyRequests:
        spec, now = draft.spec, self._parts.clock.now()
        outlook = self._outlooks.known(spec.lane)
        queue = self._likely_queue(spec, spec.starts_at(now))
        expected = None
        if outlook is not None:
            self._expect_tokens(draft, outlook)
            # Where only a part of the lane would do, its pace is not that of the lane.
            deadline = spec.deadline if spec.routing.region is None else None
            verdict = judge(outlook, self._parts.backlog, queue.job_class, deadline)
            if not isinstance(verdict, Room) and not await self._was_accepted_before(draft):
                return self._refusal(spec, outlook, verdict)
            expected = verdict.projection
        if spec.run_at is None:
            self._await(spec, queue)
        if expected is None or spec.routing.region is not None:
            return draft
        return draft.expected_at(max(spec.starts_at(now), expected.starts_at))

    def _await(self, spec: JobSpec, queue: QueueName) -> None:
        self._outlooks.joined(spec.lane, queue.job_class, spec.team)
        self._awaited[spec.id] = queue
        self._coming[_shared_by(spec.team, queue)] += 1

    def _no_longer_awaited(self, spec: JobSpec) -> QueueName | None:
        queue = self._awaited.pop(spec.id, None)
        if queue is not None:
            shared = _shared_by(spec.team, queue)
            self._coming[shared] -= 1
            if not self._coming[shared]:
                del self._coming[shared]
        return queue

    def _likely_queue(self, spec: JobSpec, starts_at: float) -> QueueName:
        """Give the queue by what was last told of the team's backlog, and what it has under way to it.

        The store tells exactly, when it records the job.
        """
        queue = spec.queue(starts_at, self._parts.windows)
        if spec.run_at is not None:
            return queue  # it counts in no backlog
        shared = _shared_by(spec.team, queue)
        return self._with_its_share(spec, queue, self._last_told(shared) + self._coming[shared] + 1)

    def _last_told(self, shared: tuple[str, QueueName]) -> int:
        backlog, told_at = self._backlogs.get(shared, (0, 0.0))
        return backlog if self._parts.clock.monotonic() - told_at <= REMEMBERED_S else 0

    def _with_its_share(self, spec: JobSpec, queue: QueueName, backlog: int) -> QueueName:
        """Give the queue, or its surplus, for a job whose team has ``backlog`` there, this one included."""
        shared = _shared_by(spec.team, queue)
        team_has = max(backlog, self._last_told(shared)) + self._coming[shared]
        others = self._outlooks.others_than(spec.team, team_has, queue.lane, queue.job_class)
        is_surplus = self._parts.backlog.is_surplus(backlog, others)
        return QueueName(queue.lane, queue.job_class.surplus) if is_surplus else queue

    def _remember(self, team: str, queue: QueueName, backlog: int) -> None:
        told_of = _shared_by(team, queue)
        self._backlogs[told_of] = (backlog, self._parts.clock.monotonic())
        self._backlogs.move_to_end(told_of)
        if len(self._backlogs) > MOST_REMEMBERED:
            self._backlogs.popitem(last=False)

    def _expect_tokens(self, draft: Draft, outlook: LaneOutlook) -> None:
        if any(each.tokens_per_s is not None and each.tokens_per_call is None for each in outlook.throughputs):
            self._outlooks.expect_tokens(draft.spec.lane, self._estimator.cost(draft.spec.lane, draft.request).tokens)

    async def _was_accepted_before(self, draft: Draft) -> bool:
        if draft.idempotency is None:
            return False
        return await self._parts.store.earlier(draft.spec.team, draft.idempotency) is not None

    def _refusal(self, spec: JobSpec, outlook: LaneOutlook, verdict: Full | TooLate) -> TooManyRequests:
        expected = _told(verdict.projection)
        if isinstance(verdict, Full):
            return BacklogFull(
                f"The backlog of `{spec.lane}` is full: {outlook.backlog} jobs, of {self._parts.backlog.max_jobs} "
                f"allowed (`forebay.backlog.max_jobs`). {expected}",
                verdict.retry_after_s,
            )
        assert spec.deadline is not None
        return DeadlineCannotBeMet(
            f"The deadline {format_moment(spec.deadline)} cannot be met in `{spec.lane}`. {expected} "
            "Give the job more time, or a higher priority.",
            verdict.retry_after_s,
        )


def _told(projection: Projection | None) -> str:
    if projection is None:
        return "When there will be room cannot be told, as the pace of the lane is not known."
    ahead = f"{projection.jobs_ahead} {'job is' if projection.jobs_ahead == 1 else 'jobs are'} ahead"
    return f"{ahead}; this one would be done at {format_moment(projection.finishes_at)}."


def _shared_by(team: str, queue: QueueName) -> tuple[str, QueueName]:
    """Give what a team's share is counted under: a class and its surplus together."""
    return (team, QueueName(queue.lane, queue.job_class.sibling))
