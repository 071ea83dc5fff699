"""Many jobs in one request."""

from collections.abc import Iterator
from typing import Annotated, Final

import orjson
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from producer_api.admission import Admission, idempotency_key_of
from producer_api.authentication import Authentication
from producer_api.body import NDJSON_TYPES, require_content_type
from producer_api.bulk_upload import BulkUpload
from producer_api.parts import ApiParts
from producer_api.schemas import ERRORS, EXAMPLE, BulkAnswer, submission_schema
from shared.domain.errors import InvalidInput
from shared.domain.tenants import Scope
from shared.domain.webhook_urls import check_webhook_url

_WEBHOOK: Final = "webhook"
_LONGEST_QUOTE: Final = 40

Webhook = Annotated[str | None, Query(description="A URL that gets an event when the batch is finished.")]


def router(parts: ApiParts, authentication: Authentication, admission: Admission) -> APIRouter:
    """Give the route ``/v1/jobs/bulk``."""
    routes = APIRouter(prefix="/v1/jobs", tags=["jobs"], responses=ERRORS)

    @routes.post(
        "/bulk",
        status_code=202,
        responses={202: {"model": BulkAnswer, "description": "Taken in; `Location` names the batch."}},
        openapi_extra={
            "parameters": [{"in": "header", "name": "Idempotency-Key", "schema": {"type": "string", "maxLength": 255}}],
            "requestBody": {
                "required": True,
                "description": "A job a line.",
                "content": {
                    "application/x-ndjson": {
                        "schema": submission_schema(),
                        "example": orjson.dumps(EXAMPLE).decode() + "\n",
                    }
                },
            },
        },
    )
    async def submit_many_jobs(request: Request, webhook: Webhook = None) -> Response:
        """Submit any number of jobs; a bad line rejects that line alone."""
        principal = await authentication.principal(request, Scope.SUBMIT)
        require_content_type(request, NDJSON_TYPES)
        _check_names(request)
        if webhook is not None:
            check_webhook_url(webhook, parts.webhook_networks, _WEBHOOK)
        bulk = BulkUpload(parts, admission, principal, idempotency_key_of(request), webhook)
        try:
            await bulk.take(request.stream())
        except BaseException:
            bulk.rejections.close()
            raise
        return StreamingResponse(
            _answer(bulk), 202, {"location": f"/v1/batches/{bulk.batch_id}"}, media_type="application/json"
        )

    return routes


def _check_names(request: Request) -> None:
    """Refuse a parameter of the URL that is not known: a misspelt webhook would never be told."""
    for name in request.query_params:
        if name != _WEBHOOK:
            shown = name[:_LONGEST_QUOTE]
            raise InvalidInput(
                f"The query parameter `{shown}` is not known here; allowed: `{_WEBHOOK}`.",
                param=shown,
                code="unknown_parameter",
            )


def _answer(bulk: BulkUpload) -> Iterator[bytes]:
    try:
        yield b'{"batch_id":"%b","accepted":%d,"rejected":[' % (bulk.batch_id.encode(), bulk.accepted)
        yield from bulk.rejections.chunks()
        yield b"]}"
    finally:
        bulk.rejections.close()
