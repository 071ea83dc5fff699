"""The jobs: submit, look, list, cancel."""

from contextlib import ExitStack
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request, Response

from producer_api.absent_jobs import AbsentJobs
from producer_api.admission import Admission
from producer_api.authentication import Authentication
from producer_api.cancellation import Cancellation
from producer_api.endpoints.answers import job_response, json_response
from producer_api.endpoints.batches import require_batch
from producer_api.pages import page_of, require_cursor
from producer_api.parts import ApiParts
from producer_api.presence import while_present
from producer_api.results import ResultHub
from producer_api.schemas import ERRORS, EXAMPLE, JobList, JobObject, submission_schema
from shared.domain.job import Job, JobStatus
from shared.domain.job_lookup import JobFilter
from shared.domain.lanes import Priority
from shared.domain.tenants import Scope
from shared.wire.job_object import render_job

LONGEST_WAIT_S: Final = 300.0
LARGEST_PAGE: Final = 1000
_LONGEST_QUOTE: Final = 40

Wait = Annotated[float, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for the job to finish.")]
Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE)]
Status = Literal["scheduled", "queued", "running", "succeeded", "failed", "cancelled", "expired"]


def router(parts: ApiParts, authentication: Authentication, admission: Admission, results: ResultHub) -> APIRouter:
    """Give the routes under ``/v1/jobs``."""
    routes = APIRouter(prefix="/v1/jobs", tags=["jobs"], responses=ERRORS)
    shelf = _Shelf(parts, results)

    @routes.post(
        "",
        status_code=202,
        responses={
            202: {"model": JobObject, "description": "Accepted; `Location` names it."},
            200: {"model": JobObject, "description": "Finished: answered from the cache, or a repeat of an old job."},
        },
        openapi_extra={
            "parameters": [{"in": "header", "name": "Idempotency-Key", "schema": {"type": "string", "maxLength": 255}}],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": submission_schema(), "example": EXAMPLE}},
            },
        },
    )
    async def submit_job(request: Request) -> Response:
        """Submit a job."""
        job = await admission.admit(request)
        return job_response(job, 200 if job.status.is_final else 202, {"location": f"/v1/jobs/{job.spec.id}"})

    @routes.get("", responses={200: {"model": JobList}})
    async def list_jobs(
        request: Request,
        status: Status | None = None,
        priority: Priority | None = None,
        batch: str | None = None,
        after: str | None = None,
        limit: Limit = 20,
    ) -> Response:
        """List jobs, newest first."""
        principal = await authentication.principal(request, Scope.READ)
        job_filter = JobFilter(JobStatus(status) if status else None, priority, batch)
        return await shelf.page(principal.team, job_filter, after, limit)

    @routes.get("/{job_id}", responses={200: {"model": JobObject}})
    async def get_job(request: Request, job_id: str, wait: Wait = 0.0) -> Response:
        """Give a job; with `wait`, when it is finished or the seconds are over."""
        principal = await authentication.principal(request, Scope.READ)
        if wait == 0:
            return job_response(await shelf.job(principal.team, job_id))
        return job_response(await while_present(request.receive, shelf.ended_job(principal.team, job_id, wait)))

    @routes.post("/{job_id}/cancel", responses={200: {"model": JobObject}})
    async def cancel_job(request: Request, job_id: str) -> Response:
        """Cancel a job that is not finished: what waits never runs, what runs has its result dropped."""
        principal = await authentication.principal(request, Scope.SUBMIT)
        return job_response(await shelf.cancelled(principal.team, job_id))

    return routes


class _Shelf:
    """Where a team finds its jobs."""

    def __init__(self, parts: ApiParts, results: ResultHub) -> None:
        self._parts = parts
        self._results = results
        self._cancellation = Cancellation(parts)
        self._absent = AbsentJobs(parts.clock, parts.retention_s)

    async def job(self, team: str, job_id: str) -> Job:
        self._absent.require_id(job_id)
        job = await self._parts.store.get(team, job_id)
        if job is None:
            raise self._absent.error(job_id)
        return job

    async def ended_job(self, team: str, job_id: str, wait_s: float) -> Job:
        """Give the job when it has ended, or as it is when the time is over; who has to wait takes a seat."""
        self._absent.require_id(job_id)
        waits = False
        with ExitStack() as seat:

            async def look() -> Job | None:
                nonlocal waits
                job = await self._parts.store.get(team, job_id)
                if not (waits or job is None or job.status.is_final):
                    seat.enter_context(self._parts.seats.taken(team))
                    waits = True
                return job

            job = await self._results.final(job_id, look, wait_s, gives_way=True)
        if job is None:
            raise self._absent.error(job_id)
        return job

    async def cancelled(self, team: str, job_id: str) -> Job:
        self._absent.require_id(job_id)
        job = await self._cancellation.cancel(team, job_id)
        if job is None:
            raise self._absent.error(job_id)
        return job

    async def page(self, team: str, job_filter: JobFilter, after: str | None, limit: int) -> Response:
        require_cursor(after, "job", "job")
        page = await self._parts.store.list(team, job_filter, after, limit)
        if job_filter.batch_id is not None and not page.jobs:
            await require_batch(self._parts.store, team, job_filter.batch_id)
        return json_response(page_of([render_job(job) for job in page.jobs], page.next_after))
