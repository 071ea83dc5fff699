"""Calls that wait: the request of a client of the OpenAI API becomes a job, and the job's answer the response."""

from functools import partial

from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from producer_api.admission import idempotency_key_of, traceparent_of
from producer_api.authentication import Authentication
from producer_api.body import JSON_TYPES, read_body, require_content_type
from producer_api.call_wishes import CallWish
from producer_api.drafts import Arrival
from producer_api.endpoints.answers import json_response
from producer_api.job_failures import failure_of
from producer_api.open_streams import OpenStreams
from producer_api.parts import ApiParts
from producer_api.presence import while_present
from producer_api.seated_response import SeatedResponse
from producer_api.streamed_answer import StreamedAnswer
from producer_api.waiting import Waiting, WaitingCall
from shared.domain import ids
from shared.domain.job import Job, JobStatus
from shared.domain.tenants import Scope
from shared.wire.direct_request import DirectRequest
from shared.wire.openai import Endpoint


class SynchronousCalls:
    """Answers calls over the queue."""

    def __init__(self, parts: ApiParts, authentication: Authentication, waiting: Waiting, streams: OpenStreams) -> None:
        """Use the ports in ``parts``. ``streams`` says when those that are open are to end."""
        self._parts = parts
        self._authentication = authentication
        self._waiting = waiting
        self._streams = streams

    async def answer(self, request: Request, endpoint: Endpoint) -> Response:
        """Give the provider's answer, or why there is none. A streamed answer begins when it is sent.

        Raises:
            ForebayError: the job was not accepted, or its client may not wait.
            ClientDisconnect: nobody waits any more.
        """
        call, arrival = await self._read(request, endpoint)
        team, seats = arrival.principal.team, self._parts.seats
        admit = partial(self._waiting.admit, arrival)
        if arrival.streams:
            streams = self._parts.answer_streams
            return SeatedResponse(StreamedAnswer(call, self._waiting, admit, streams, self._streams), seats, team)
        with seats.taken(team):  # before it is let in: who may not wait is charged nothing
            job = await admit()
            del arrival, admit  # it is large, and the wait is long
            try:
                job = await while_present(request.receive, self._waiting.final(job, call.timeout_s))
            except ClientDisconnect:
                await self._waiting.give_up(call, job)
                raise
        return self._answered(call, job)

    async def _read(self, request: Request, endpoint: Endpoint) -> tuple[WaitingCall, Arrival]:
        clock = self._parts.clock
        began_at = clock.monotonic()
        principal = await self._authentication.principal(request, Scope.SUBMIT, Scope.READ)
        require_content_type(request, JSON_TYPES)
        wish = CallWish.of(request.headers)
        body = await read_body(request, self._parts.body_limit)
        direct = DirectRequest.parse(endpoint, body)
        job_id = ids.new_id("job", clock.now())
        arrival = Arrival(
            principal,
            body,
            idempotency_key_of(request),
            traceparent=traceparent_of(request),
            submission=wish.submission(endpoint, direct.request),
            job_id=job_id,
            streams=direct.streams,
        )
        may_come_back = arrival.idempotency_key is not None
        return WaitingCall(job_id, wish.timeout_s, began_at, wish.cache, may_come_back, direct.include_usage), arrival

    def _answered(self, call: WaitingCall, job: Job) -> Response:
        headers = self._waiting.headers(call, job)
        if job.status is JobStatus.SUCCEEDED and job.outcome is not None and job.outcome.response is not None:
            return json_response(job.outcome.response, headers=headers)
        return failure_of(job, self._waiting.waited_s(call)).response(headers)
