"""A batch as a client sees it, in the shape of OpenAI's."""

from typing import Any

from shared.domain.batches import Batch


def render_batch(batch: Batch) -> dict[str, Any]:
    """Give the batch object of the contract; times are whole seconds since the epoch.

    ``request_counts.completed`` counts the jobs that succeeded, ``failed`` those that failed, expired or
    were cancelled; together they reach ``total``.
    """
    status = batch_status(batch)
    ended = None if batch.finished_at is None else int(batch.finished_at)
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "input_file_id": None,
        "completion_window": None,
        "status": status,
        "output_file_id": None,
        "error_file_id": None,
        "errors": None,
        "request_counts": {
            "total": batch.total,
            "completed": batch.succeeded,
            "failed": batch.failed + batch.cancelled + batch.expired,
        },
        "usage": None,
        "metadata": None,
        "created_at": int(batch.created_at),
        "in_progress_at": int(batch.created_at) if batch.total else None,
        "expires_at": None,
        "finalizing_at": None,
        "completed_at": ended if status == "completed" else None,
        "failed_at": ended if status == "failed" else None,
        "expired_at": ended if status == "expired" else None,
        "cancelling_at": None,
        "cancelled_at": ended if status == "cancelled" else None,
    }


def batch_status(batch: Batch) -> str:
    """Give OpenAI's word for where a batch stands.

    A finished batch is ``completed`` whatever became of its jobs, unless all of them expired or all were
    cancelled; one without a single good line has ``failed``.
    """
    if batch.is_open:
        return "in_progress" if batch.total else "validating"
    if batch.finished < batch.total:
        return "in_progress"
    if batch.total == 0:
        return "failed"
    if batch.cancelled == batch.total:
        return "cancelled"
    return "expired" if batch.expired == batch.total else "completed"
