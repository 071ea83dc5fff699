"""Answers as bytes."""

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import Response

from shared.domain.job import Job
from shared.wire.job_object import render_job


def json_response(document: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Give a JSON answer."""
    return Response(orjson.dumps(document), status, headers, media_type="application/json")


def job_response(job: Job, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Give the answer that shows a job."""
    return json_response(render_job(job), status, headers)
