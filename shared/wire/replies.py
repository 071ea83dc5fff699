"""What is sent to the queue that a client named for its replies."""

from typing import Any, Final

import orjson

from shared.domain.door import Reply
from shared.domain.job import Job
from shared.wire.job_object import render_job

LARGEST_REPLY: Final = 8 * 1024 * 1024
"""Bytes of a reply: half of what RabbitMQ 4 takes as one message. From a larger one the ``response`` is left out."""


def reply_about(job: Job, correlation_id: str | None) -> Reply:
    """Give the reply that tells a job's end: the job object. It bears the same id, however often it is sent."""
    document = render_job(job)
    body = orjson.dumps(document)
    if len(body) > LARGEST_REPLY:
        body = orjson.dumps(document | {"response": None})
    return Reply(body, f"reply_{job.spec.id}", "job", correlation_id)


def reply_with_error(
    error: dict[str, Any], reply_id: str, correlation_id: str | None, retry_after_s: float | None
) -> Reply:
    """Give the reply that tells why a submission was rejected.

    ``reply_id`` is to be another for each rejection: who sends a submission again must not take the news for old.
    """
    return Reply(orjson.dumps({"error": error}), reply_id, "error", correlation_id, retry_after_s)
