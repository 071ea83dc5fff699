"""The API as an ASGI application."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.middleware import Middleware

from producer_api import error_responses
from producer_api.admission import Admission
from producer_api.amqp_submissions import AmqpSubmissions
from producer_api.authentication import Authentication
from producer_api.backlog_admission import BacklogAdmission
from producer_api.cancellation import Cancellation
from producer_api.described_api import DESCRIPTION, DescribedApi
from producer_api.endpoints import (
    batches,
    bulk,
    dead_letters,
    deliveries,
    health,
    job_events,
    jobs,
    keys,
    lanes,
    models,
    openai,
    schedule,
    webhooks,
)
from producer_api.lane_survey import LaneSurvey
from producer_api.open_streams import OpenStreams
from producer_api.outlooks import Outlooks
from producer_api.parts import ApiParts
from producer_api.request_ids import RequestIds
from producer_api.results import ResultHub
from producer_api.synchronous_calls import SynchronousCalls
from producer_api.waiting import Waiting

__all__ = ["ApiParts", "create_app"]


def create_app(parts: ApiParts) -> DescribedApi:
    """Put the API together. Its lifespan starts and stops its own listener of the feed and its intake of messages, and nothing else."""
    survey = LaneSurvey(parts.queue, parts.limits, parts.pauses, parts.weights, parts.windows, parts.clock)
    outlooks = Outlooks(survey, parts.catalog, parts.clock, parts.emit)
    admission = Admission(parts, BacklogAdmission(parts, outlooks))
    authentication = Authentication(parts.keyring)
    results = ResultHub(parts.feed, parts.clock, parts.emit)
    waiting = Waiting(parts, admission, results, Cancellation(parts))
    streams = OpenStreams()
    submissions = None if parts.door is None else AmqpSubmissions(parts.door, admission, parts)

    @asynccontextmanager
    async def lifespan(_app: DescribedApi) -> AsyncIterator[None]:
        results.start()
        if submissions is not None:
            submissions.start()
        admission.withdrawals.start()
        yield
        if submissions is not None:
            await submissions.stop()
        await results.stop()
        await admission.withdrawals.stop()
        await outlooks.close()

    app = DescribedApi(
        title="Forebay",
        summary="A message-queue driven, asynchronous request broker for LLMs.",
        description=DESCRIPTION,
        version="0.1.0",
        lifespan=lifespan,
        swagger_ui_parameters={"persistAuthorization": True, "displayRequestDuration": True},
        redirect_slashes=False,
        redoc_url=None,
        middleware=[Middleware(RequestIds, make_id=lambda: f"req_{secrets.token_hex(16)}")],
    )
    app.on_stopping += [streams.end, results.give_way]
    error_responses.install(app)
    for routes in (
        jobs.router(parts, authentication, admission, results),
        job_events.router(parts, authentication, streams),
        bulk.router(parts, authentication, admission),
        batches.router(parts, authentication),
        models.router(parts, authentication),
        openai.router(SynchronousCalls(parts, authentication, waiting, streams)),
        keys.router(parts, authentication),
        lanes.router(parts, authentication, outlooks),
        webhooks.router(parts, authentication),
        deliveries.router(parts, authentication),
        schedule.router(parts, authentication),
        dead_letters.router(parts, authentication),
        health.router(parts),
    ):
        # Not include_router: it would match every request twice, at a tenth of the cost of taking a job in.
        app.router.routes.extend(routes.routes)
    return app
