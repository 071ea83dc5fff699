"""From the bytes of a submission to a job that can be recorded."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import orjson

from producer_api.routing_wishes import check_wish
from shared.domain import ids
from shared.domain.allowances import LONGEST_QUEUE_S, Charge, OnLimit, Policies, Terms
from shared.domain.answer_cache import CachedAnswer, CacheKey, CachePolicy, CacheResult
from shared.domain.callbacks import Callback
from shared.domain.catalog import Catalog
from shared.domain.clock import Clock
from shared.domain.errors import InvalidInput, UnknownModel
from shared.domain.fingerprint import cache_key
from shared.domain.job import JobSpec, JobStatus, Json, Outcome
from shared.domain.job_intake import IdempotencyKey, NewJob
from shared.domain.lanes import DeferrableWindow, JobClass
from shared.domain.public_addresses import AllowedNetworks
from shared.domain.tenants import Principal
from shared.domain.token_caps import TokenCaps
from shared.domain.token_estimate import TokenEstimator
from shared.domain.usage import NOTHING
from shared.domain.webhook_urls import check_webhook_url
from shared.wire import envelope
from shared.wire.jobs import Submission


@dataclass(frozen=True, slots=True)
class Arrival:
    """A submission as it came in.

    principal: who sent it.
    body: as sent; its digest tells whether a repeated ``idempotency_key`` came with the same one.
    traceparent: the W3C trace context it was sent under.
    submission: what the body says, where somebody has read it already. job_id: of the new job, if it makes one; None: any.
    reply_to, correlation_id: of a submission that came as a message: where its job's end is to be told.
    streams: its answer is to be passed on while it is being made.
    """

    principal: Principal
    body: bytes
    idempotency_key: str | None = None
    batch_id: str | None = None
    traceparent: str | None = None
    submission: Submission | None = None
    reply_to: str | None = None
    correlation_id: str | None = None
    job_id: str | None = None
    streams: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A job that was checked and not yet recorded.

    request_json: the request as its message carries it. cache_key: where its answer may be; None: nobody may look.
    job_class: the class it waits in, were it to run now; what is meant for later counts in no backlog.
    charge: what it takes of its owners' allowances; None: nothing, because nobody limits them or it took it before.
    """

    spec: JobSpec
    request: Json
    request_json: bytes
    cache_key: CacheKey | None
    idempotency: IdempotencyKey | None
    traceparent: str | None
    charge: Charge | None = None
    job_class: JobClass | None = None
    outcome: Outcome | None = None

    def answered(self, answer: CachedAnswer) -> "Draft":
        """Give the draft finished by an earlier job's answer, which costs a request now, and no tokens."""
        return replace(
            self,
            charge=None if self.charge is None else replace(self.charge, amounts=(1.0, 0.0)),
            outcome=Outcome(
                status=JobStatus.SUCCEEDED,
                response=answer.response,
                usage=NOTHING,
                cost_usd=Decimal(0),
                served_by=answer.served_by,
                cache=CacheResult.HIT,
            ),
        )

    def later(self, moment: float) -> "Draft":
        """Give the draft for a job that may not run before ``moment``; what answered it at once may answer it then."""
        charge = self.charge
        tokens = charge.amounts[1] if charge is not None and charge.counts_tokens else None
        spec = replace(self.spec, run_at=max(moment, self.spec.run_at or moment), charged_tokens=tokens)
        return replace(self, spec=spec, outcome=None)

    def new_job(self) -> NewJob:
        """Give what the store records."""
        message = self.message_of(self.spec) if self.outcome is None else b""
        counted_in = self.job_class if self.spec.run_at is None else None
        return NewJob(self.spec, message, self.idempotency, self.outcome, counted_in)

    def message_of(self, spec: JobSpec) -> bytes:
        """Give the message of the job that came first with this idempotency key and body, or of this one."""
        if spec.request_file is not None:
            return envelope.encode_filed(spec, self.traceparent)
        return envelope.encode_around(self.request_json, spec, self.traceparent)

    def expected_at(self, moment: float) -> "Draft":
        """Give the draft with the moment (seconds since the epoch) at which its job is expected to start."""
        return replace(self, spec=replace(self.spec, estimated_start_at=moment))


class Drafting:
    """Reads and checks submissions."""

    def __init__(
        self,
        catalog: Catalog,
        cache_default: CachePolicy,
        policies: Policies,
        windows: Sequence[DeferrableWindow],
        clock: Clock,
        webhook_networks: AllowedNetworks,
    ) -> None:
        """``catalog`` knows the models, ``cache_default`` what a job wants of the cache if it does not say."""
        self._catalog = catalog
        self._cache_default = cache_default
        self._policies = policies
        self._windows = windows
        self._estimator = TokenEstimator()
        self._clock = clock
        self._webhook_networks = webhook_networks

    def draft(self, arrival: Arrival) -> Draft:
        """Give the job of an arrival.

        Raises:
            InvalidInput: what is wrong, where, and what is allowed.
        """
        now = self._clock.now()
        submission = arrival.submission or Submission.parse(arrival.body, now)
        spec = self._spec(arrival, submission, now)
        request = self._within_caps(arrival.principal.terms, spec, submission.request)
        charge = self._charge(arrival, spec, request, now)
        if charge is not None:
            spec = charge.spec
        return Draft(
            spec=spec,
            request=request,
            request_json=_encode(request),
            cache_key=self._cache_key(spec, request),
            idempotency=idempotency_of(arrival),
            traceparent=arrival.traceparent,
            job_class=spec.queue(now, self._windows).job_class,
            charge=charge,
        )

    def _within_caps(self, of_key: Terms, spec: JobSpec, request: Json) -> Json:
        caps = TokenCaps.of(of_key, self._policies.team(spec.team).terms)
        return request if caps.is_open else caps.applied(request, self._estimator.cost(spec.lane, request).input_tokens)

    def _charge(self, arrival: Arrival, spec: JobSpec, request: Json, now: float) -> Charge | None:
        of_key, of_team = arrival.principal.terms, self._policies.team(spec.team).terms
        owners = self._policies.allowances(spec, of_key.allowance)
        if not owners and self._policies.ceiling.is_unlimited:
            return None
        waits = (of_key.on_limit or of_team.on_limit) is OnLimit.QUEUE
        to_deadline = math.inf if spec.deadline is None else spec.deadline - now
        charge = Charge(
            spec=spec,
            owners=owners,
            ceiling=self._policies.ceiling,
            amounts=self._taken(spec, request),
            patience_s=min(to_deadline, LONGEST_QUEUE_S) if waits else 0.0,
            idempotency_key=arrival.idempotency_key,
        )
        if not charge.counts_tokens:
            return charge
        return replace(charge, spec=replace(spec, charged_tokens=charge.amounts[1]))

    def _taken(self, spec: JobSpec, request: Json) -> tuple[float, float]:
        cost = self._estimator.cost(spec.lane, request)
        return (cost.requests, cost.tokens)

    def _spec(self, arrival: Arrival, submission: Submission, now: float) -> JobSpec:
        model: str = submission.request["model"]
        try:
            lane = self._catalog.lane(model)
        except UnknownModel as error:
            raise UnknownModel(error.message, param="request.model") from None
        routing = submission.routing.to_domain()
        check_wish(self._catalog, lane, routing)
        run_at = submission.run_at
        return JobSpec(
            id=arrival.job_id or ids.new_id("job", now),
            team=arrival.principal.team,
            endpoint=submission.endpoint.value,
            model=model,
            lane=lane.name,
            priority=submission.priority,
            created_at=now,
            run_at=run_at if run_at is not None and run_at > now else None,
            deadline=submission.latest_finish(now),
            batch_id=arrival.batch_id,
            key_id=arrival.principal.key_id,
            idempotency_key=arrival.idempotency_key,
            routing=routing,
            cache=submission.cache.over(self._cache_default),
            attribution=submission.attribution.to_domain(),
            metadata=submission.metadata,
            streams=arrival.streams,
            callback=self._callback(arrival, submission),
        )

    def _callback(self, arrival: Arrival, submission: Submission) -> Callback:
        webhook = submission.callback.webhook
        if webhook is not None:
            check_webhook_url(webhook, self._webhook_networks, "callback.webhook")
        return Callback(webhook, arrival.reply_to, arrival.correlation_id if arrival.reply_to else None)

    def _cache_key(self, spec: JobSpec, request: Json) -> CacheKey | None:
        if not spec.cache.mode.looks or spec.run_at is not None:
            return None  # what is to run later looks when it runs
        return cache_key(spec, request, self._catalog.lane(spec.model))


def _encode(request: Json) -> bytes:
    try:
        return orjson.dumps(request)
    except TypeError:  # orjson reads deeper nesting than it writes
        raise InvalidInput("`request` is nested too deeply; at most 250 levels.", param="request") from None


def idempotency_of(arrival: Arrival) -> IdempotencyKey | None:
    """Give what the store knows a submission by that may come again; None: it may not."""
    if arrival.idempotency_key is None:
        return None
    return IdempotencyKey(arrival.idempotency_key, hashlib.sha256(arrival.body).hexdigest())
