"""``GET /v1/jobs/{id}/events``: every change of a job's status as a server-sent event, then the end."""

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from producer_api.absent_jobs import AbsentJobs
from producer_api.authentication import Authentication
from producer_api.event_source import HEARTBEAT, HEARTBEAT_S, EventSource, event, opening
from producer_api.open_streams import OpenStreams
from producer_api.parts import ApiParts
from producer_api.schemas import ERRORS
from producer_api.seated_response import SeatedResponse
from shared.domain.errors import InvalidInput, StoreUnavailable
from shared.domain.job_watch import JobWatch, StatusChange, WatchedJob
from shared.domain.tenants import Scope
from shared.wire.job_object import render_job

LOOK_AGAIN_S: Final = 1.0
"""Seconds after which a store that was away is asked again."""

_LONGEST_QUOTE: Final = 40
_LAST_EVENT: Final = re.compile(r"\d{1,18}")
_LAST_EVENT_HEADER: Final = {
    "in": "header",
    "name": "Last-Event-ID",
    "description": "The `id` of the last event that was seen; those after it follow.",
    "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
}
_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Events, until the job has ended. `event`: the status; `id`: its moment, in microseconds since the "
        "epoch; `data`: the job as `JobObject`, with `response` and `error` at the end only.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
    204: {"description": "The job has ended, and `Last-Event-ID` is its last event: do not come again."},
}


def router(parts: ApiParts, authentication: Authentication, streams: OpenStreams) -> APIRouter:
    """Give the route."""
    routes = APIRouter(prefix="/v1/jobs", tags=["jobs"], responses=ERRORS)
    absent = AbsentJobs(parts.clock, parts.retention_s)

    @routes.get(
        "/{job_id}/events",
        response_class=Response,
        responses=_STREAM,
        openapi_extra={"parameters": [_LAST_EVENT_HEADER]},
    )
    async def stream_job_events(request: Request, job_id: str) -> Response:
        """Follow a job: every change of its status as a server-sent event, then the end."""
        principal = await authentication.principal(request, Scope.READ)
        absent.require_id(job_id)
        last_us = _last_event(request)
        seen = await parts.watch.look(principal.team, job_id)
        if seen is None:
            raise absent.error(job_id)
        if seen.job.status.is_final and not seen.changes_after(last_us):
            return Response(status_code=204)
        told = EventSource(_events(parts.watch, streams, principal.team, job_id, last_us))
        return told if seen.job.status.is_final else SeatedResponse(told, parts.seats, principal.team)

    return routes


async def _events(
    watch: JobWatch, streams: OpenStreams, team: str, job_id: str, last_us: int | None
) -> AsyncGenerator[bytes]:
    """Yield what a stream consists of. Nothing is asked while the bell is silent."""
    yield opening()
    with watch.watching(team, job_id) as bell, streams.opened(bell):
        while not streams.is_ending:
            bell.clear()
            try:
                seen = await watch.look(team, job_id)
            except StoreUnavailable:
                yield HEARTBEAT
                await _rang(bell, LOOK_AGAIN_S)
                continue
            if seen is None:
                return
            for change in seen.changes_after(last_us):
                yield _event(seen, change)
                last_us = change.at_us
            if seen.job.status.is_final:
                return
            while not await _rang(bell, HEARTBEAT_S):
                yield HEARTBEAT


async def _rang(bell: asyncio.Event, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            return await bell.wait()
    except TimeoutError:
        return False


def _event(seen: WatchedJob, change: StatusChange) -> bytes:
    return event(change.status.shown.value, change.at_us, render_job(seen.as_of(change)))


def _last_event(request: Request) -> int | None:
    """Read ``Last-Event-ID``; empty means none. Raises ``InvalidInput``."""
    value = request.headers.get("last-event-id", "").strip()
    if not value:
        return None
    if _LAST_EVENT.fullmatch(value) is None:
        raise InvalidInput(
            "`Last-Event-ID` must be the `id` of an event of this stream: a number of at most 18 digits; found "
            f"{value[:_LONGEST_QUOTE]!r}.",
            param="Last-Event-ID",
        )
    return int(value)
