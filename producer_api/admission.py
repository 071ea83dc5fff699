"""A job's way in, from top to bottom.

who asks → what is asked → is the answer known → is there room for it → is it within its owners' limits → file it if it is
large → was it asked before → record → publish → mark as queued → answer.

The record and the idempotency check are one atomic step of the store, so that two equal requests at the same moment
make one job. A job is acknowledged to its client only after the broker confirmed its message.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from starlette.requests import Request

from producer_api.authentication import Authentication
from producer_api.backlog_admission import BacklogAdmission
from producer_api.body import JSON_TYPES, read_body, require_content_type
from producer_api.drafts import Arrival, Draft, Drafting, idempotency_of
from producer_api.filing import Filing
from producer_api.gathering import Gathering
from producer_api.marks import Marks
from producer_api.metering import Metering
from producer_api.parts import ApiParts
from producer_api.withdrawals import Withdrawals
from shared.domain.errors import (
    ForebayError,
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    StoreUnavailable,
    Unavailable,
    Unroutable,
)
from shared.domain.events import JobAccepted
from shared.domain.job import Job, JobSpec, JobStatus
from shared.domain.job_intake import Acceptance, Accepted
from shared.domain.notices import Announcer, Notice
from shared.domain.tenants import Scope
from shared.domain.work_queue import Message

_SANE_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

Admitted = Job | ForebayError
"""What became of one arrival: its job, or why there is none."""


class Admission:
    """The only way in."""

    def __init__(self, parts: ApiParts, backlog: BacklogAdmission) -> None:
        """Use the ports in ``parts``."""
        self._authentication = Authentication(parts.keyring)
        self._drafting = Drafting(
            parts.catalog, parts.cache_default, parts.policies, parts.windows, parts.clock, parts.webhook_networks
        )
        self._backlog = backlog
        self._metering = Metering(parts.allowances, parts.clock)
        self._filing = Filing(parts.large)
        self._gathering = Gathering(self.admit_all)
        self._announcer = Announcer(parts.queue, parts.outbox)
        self.withdrawals = Withdrawals(parts.store, self._metering.give_back, self._tell_batch, parts.clock, parts.emit)
        self._marks = Marks(parts.store, parts.clock)
        self._parts = parts

    async def admit(self, request: Request) -> Job:
        """Take one job in: finished, if its answer was known, else on its way to a worker.

        Raises:
            ForebayError: it was not accepted; the error says why, and whether to send it again.
        """
        principal = await self._authentication.principal(request, Scope.SUBMIT)
        require_content_type(request, JSON_TYPES)
        body = await read_body(request, self._parts.body_limit)
        return await self.admit_one(
            Arrival(principal, body, idempotency_key_of(request), traceparent=traceparent_of(request))
        )

    async def admit_one(self, arrival: Arrival) -> Job:
        """As ``admit``, for what has arrived already, however it came."""
        admitted = await self._gathering.admit(arrival.principal.team, arrival)
        if isinstance(admitted, ForebayError):
            raise admitted
        return admitted

    async def admit_all(self, team: str, arrivals: Sequence[Arrival]) -> list[Admitted]:
        """Take several jobs of a team in, each by itself, in as few round trips as one takes; results in order."""
        drafts = [self._draft(arrival) for arrival in arrivals]
        admitted = await _for_the_good(drafts, partial(self._take_in, team))
        return await self._unless_they_came_before(team, arrivals, admitted)

    async def _unless_they_came_before(
        self, team: str, arrivals: Sequence[Arrival], admitted: list[Admitted]
    ) -> list[Admitted]:
        """Give the first job for a repeat that would be refused by now: its deadline is over, or its model is gone."""

        async def found(arrival: Arrival, refusal: Admitted) -> Admitted:
            key = idempotency_of(arrival)
            if key is None or not isinstance(refusal, InvalidInput):
                return refusal
            try:
                first = await self._parts.store.earlier(team, key)
                if first is None or first.acceptance is not Acceptance.REPEATED:
                    return refusal
                return await self._parts.store.get(team, first.job_id) or refusal
            except StoreUnavailable as error:
                return _not_accepted(error)

        if not any(isinstance(result, InvalidInput) for result in admitted):
            return admitted
        return await asyncio.gather(*map(found, arrivals, admitted))

    async def _take_in(self, team: str, drafts: list[Draft]) -> list[Admitted]:
        try:
            judged = await self._backlog.judge(await self._answer_what_is_known(drafts))
            try:
                return await _for_the_good(judged, partial(self._meter, team))
            finally:
                self._backlog.forget(judged)
        except Unavailable as error:
            return [_not_accepted(error)] * len(drafts)

    async def _meter(self, team: str, drafts: list[Draft]) -> list[Admitted]:
        return await _for_the_good(await self._metering.take(drafts), partial(self._file, team))

    async def _file(self, team: str, drafts: list[Draft]) -> list[Admitted]:
        filed = await self._filing.file(drafts)
        in_vain = [
            draft.spec
            for draft, each in zip(drafts, filed, strict=True)
            if draft.charge and isinstance(each, Unavailable)
        ]
        await self._metering.give_back(in_vain)
        kept = [_not_accepted(each) if isinstance(each, Unavailable) else each for each in filed]
        return await _for_the_good(kept, partial(self._let_in, team))

    async def _let_in(self, team: str, drafts: list[Draft]) -> list[Admitted]:
        try:
            accepted = await self._parts.store.accept([draft.new_job() for draft in drafts])
            jobs = await asyncio.gather(*map(partial(self._recorded, team), drafts, accepted))
        except StoreUnavailable:  # it may have recorded them, and only its answer is lost
            self.withdrawals.add([draft.spec for draft in drafts if draft.idempotency is None])
            raise
        published = await asyncio.gather(*map(self._publish, drafts, jobs, accepted))
        queued = await self._mark_queued(team, drafts, published)
        await self._tell([notice for found in accepted for notice in found.notices])
        self._announce(drafts, queued)
        await self._metering.give_back([draft.spec for draft in map(_charged_in_vain, drafts, queued) if draft])
        return queued

    def _draft(self, arrival: Arrival) -> Draft | InvalidInput:
        try:
            return self._drafting.draft(arrival)
        except InvalidInput as error:
            return error

    async def _answer_what_is_known(self, drafts: list[Draft]) -> list[Draft]:
        keys = [draft.cache_key for draft in drafts]
        if not any(keys):
            return drafts
        answers = await self._parts.cache.look_up_many(keys)
        return [draft.answered(answer) if answer else draft for draft, answer in zip(drafts, answers, strict=True)]

    async def _recorded(self, team: str, draft: Draft, found: Accepted) -> Admitted:
        if found.acceptance is Acceptance.CONFLICT:
            return IdempotencyConflict()
        if found.acceptance is Acceptance.REPEATED:
            return await self._parts.store.get(team, found.job_id) or NotFound("The job that came first is gone.")
        if draft.outcome is None:
            return Job(draft.spec, JobStatus.ACCEPTED)
        return Job(draft.spec, draft.outcome.status, finished_at=draft.spec.created_at, outcome=draft.outcome)

    async def _publish(self, draft: Draft, job: Admitted, accepted: Accepted) -> Admitted:
        """Publish what nobody has published yet: a new job, or a repeated one whose first request ended here."""
        if isinstance(job, ForebayError) or job.status is not JobStatus.ACCEPTED:
            return job
        now = self._parts.clock.now()
        starts_at = job.spec.starts_at(now)
        message = Message(draft.message_of(job.spec), job.spec.id)
        queue = self._backlog.queue_of(job.spec, starts_at, accepted)
        try:
            await self._parts.queue.publish(queue, message, job.spec.wait_s(now))
        except (Unavailable, Unroutable) as error:
            await self._withdraw(draft)
            return _not_accepted(error)
        self._backlog.arrived(job.spec)
        return job

    async def _withdraw(self, draft: Draft) -> None:
        """Take back the record of a job that its client is told was not accepted.

        With an idempotency key the record stays: the client's next try finds it and publishes it. Without one that
        try is another job, and this one, should the broker have its message after all, must not run beside it.
        """
        if draft.idempotency is None:
            try:
                await self._parts.store.withdraw(draft.spec.team, draft.spec.id)
                await self._tell_batch(draft.spec)
            except StoreUnavailable:
                self.withdrawals.add([draft.spec])

    async def _mark_queued(self, team: str, drafts: Sequence[Draft], jobs: Sequence[Admitted]) -> list[Admitted]:
        published = [
            (job.spec, job.spec.streams and draft.idempotency is None)
            for draft, job in zip(drafts, jobs, strict=True)
            if isinstance(job, Job) and job.status is JobStatus.ACCEPTED
        ]
        self._marks.mark_later(team, [spec for spec, has_time in published if has_time])
        await self._marks.mark(team, [spec for spec, has_time in published if not has_time])
        return [_queued(job) for job in jobs]

    async def _tell(self, notices: Sequence[Notice]) -> None:
        """Publish the notices of jobs that were finished at once; what cannot be published now, the scheduler will."""
        with suppress(Unavailable):
            await self._announcer.tell(notices)

    async def _tell_batch(self, spec: JobSpec) -> None:
        """Tell the end of a batch, if the withdrawal of this job was it."""
        if spec.batch_id is not None:
            with suppress(Unavailable, Unroutable):
                await self._announcer.tell_what_is_left(spec.team, [spec.batch_id])

    def _announce(self, drafts: list[Draft], jobs: list[Admitted]) -> None:
        for draft, job in zip(drafts, jobs, strict=True):
            if isinstance(job, Job) and job.spec.id == draft.spec.id:
                spec = job.spec
                self._parts.emit(JobAccepted(spec.id, spec.team, spec.lane, spec.priority.value, job.status.value))


async def _for_the_good(
    drafts: Sequence[Draft | ForebayError], take: Callable[[list[Draft]], Awaitable[Sequence[Admitted]]]
) -> list[Admitted]:
    """Take the drafts that are good; give what became of each, in order."""
    good = [draft for draft in drafts if isinstance(draft, Draft)]
    taken = iter(await take(good) if good else ())
    return [next(taken) if isinstance(draft, Draft) else draft for draft in drafts]


def idempotency_key_of(request: Request) -> str | None:
    """Give the client's ``Idempotency-Key``; raises ``InvalidInput`` for one that is none."""
    return checked_key(request.headers.get("idempotency-key"), "Idempotency-Key")


def checked_key(key: str | None, name: str) -> str | None:
    """Give an idempotency key that came under that name; raises ``InvalidInput`` for one that is none."""
    if key is not None and not _SANE_KEY.fullmatch(key):
        raise InvalidInput(f"The {name} must be 1 to 255 printable ASCII characters.", param=name)
    return key


def traceparent_of(request: Request) -> str | None:
    """Give the W3C trace context the request was sent under; one that is malformed is ignored, as W3C asks."""
    return checked_traceparent(request.headers)


def checked_traceparent(headers: Mapping[str, str]) -> str | None:
    """As ``traceparent_of``, of headers whose names are in lower case."""
    traceparent = headers.get("traceparent", "")
    return traceparent if _TRACEPARENT.fullmatch(traceparent) else None


def _queued(job: Admitted) -> Admitted:
    if isinstance(job, ForebayError) or job.status is not JobStatus.ACCEPTED:
        return job
    return replace(job, status=job.spec.status_once_published)


def _charged_in_vain(draft: Draft, admitted: Admitted) -> Draft | None:
    """Give a draft that was charged and became no job of its own, nor will when its client tries again."""
    if draft.charge is None:
        return None
    if isinstance(admitted, Job):
        return None if admitted.spec.id == draft.spec.id else draft
    may_yet_run = isinstance(admitted, Unavailable) and draft.idempotency is not None
    return None if may_yet_run else draft


def _not_accepted(error: Unavailable | Unroutable) -> Unavailable:
    return Unavailable(f"The job was not accepted; send it again, best with an Idempotency-Key. {error.message}")
