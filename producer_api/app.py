"""The API as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware import Middleware

from producer_api import error_responses
from producer_api.admission import Admission
from producer_api.authentication import Authentication
from producer_api.endpoints import batches, bulk, health, jobs, models
from producer_api.parts import ApiParts
from producer_api.request_ids import RequestIds
from producer_api.results import ResultHub
from shared.domain import ids

__all__ = ["ApiParts", "create_app"]


def create_app(parts: ApiParts) -> FastAPI:
    """Put the API together. Its lifespan starts and stops its own listener of the feed, and nothing else."""
    admission = Admission(parts)
    authentication = Authentication(parts.keyring)
    results = ResultHub(parts.feed, parts.clock)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        results.start()
        yield
        await results.stop()

    app = FastAPI(
        title="Forebay",
        summary="A message-queue driven, asynchronous request broker for LLMs.",
        version="0.1.0",
        lifespan=lifespan,
        redirect_slashes=False,
        redoc_url=None,
        middleware=[Middleware(RequestIds, make_id=lambda: ids.new_id("req", parts.clock.now()))],
    )
    error_responses.install(app)
    app.include_router(bulk.router(parts, authentication, admission))
    app.include_router(jobs.router(parts, authentication, admission, results))
    app.include_router(batches.router(parts, authentication))
    app.include_router(models.router(parts, authentication))
    app.include_router(health.router(parts))
    return app
