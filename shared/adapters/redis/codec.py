"""Jobs and batches as the fields of their hashes."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import accumulate
from typing import Any, Final

import orjson

from shared.domain.answer_cache import CacheResult
from shared.domain.batches import Batch
from shared.domain.callbacks import ReplyReport, ReplyStatus
from shared.domain.files import FileReference
from shared.domain.job import Attempt, Job, JobError, JobSpec, JobStatus, Outcome
from shared.domain.lanes import Mailbox
from shared.domain.usage import Usage
from shared.wire.envelope import decode_spec, encode_spec

JOB_FIELDS: Final = (
    "spec",
    "status",
    "past_attempts",
    "attempts",
    "started_at",
    "finished_at",
    "outcome",
    "sequence",
    "revivals",
    "reply",
)
"""What ``job_from`` reads, in its order."""


def job_from(values: Sequence[bytes | None]) -> Job | None:
    """Read a job from the values of ``JOB_FIELDS``; None if there is no record."""
    spec, status, past, attempts, started_at, finished_at, outcome, sequence, revivals, reply = values
    if spec is None or status is None:
        return None
    return Job(
        spec=decode_spec(spec),
        status=JobStatus(status.decode()),
        attempts=attempts_from(past or b"") + attempts_from(attempts or b""),
        started_at=None if started_at is None else float(started_at),
        finished_at=None if finished_at is None else float(finished_at),
        outcome=None if outcome is None else outcome_from(outcome),
        sequence=None if sequence is None else int(sequence),
        revivals=int(revivals or 0),
        reply=None if reply is None else _reply_from(reply),
        replayed_at=_replayed_at(past or b""),
    )


def _replayed_at(past: bytes) -> tuple[int, ...]:
    """Give how many attempts had been made when a replay began, for each that had some before it."""
    counts = [len(attempts_from(part)) for part in past.split(b"\n\n") if part]
    return tuple(accumulate(counts))


def encode_facts(spec: JobSpec) -> tuple[bytes, str, str, str]:
    """Write what never changes of a job, as the scripts take it (see ``lua/prelude.lua``)."""
    deadline = "" if spec.deadline is None else repr(spec.deadline)
    return (encode_spec(spec), spec.priority.value, deadline, " ".join(spec.callback.mailboxes))


def encode_attempts(attempts: Sequence[Attempt]) -> bytes:
    """Write attempts, a line of JSON each; none as no bytes."""
    return b"\n".join(orjson.dumps(attempt) for attempt in attempts)


def attempts_from(lines: bytes) -> tuple[Attempt, ...]:
    """Read attempts, a line each; empty lines stand between runs."""
    return tuple(Attempt(**orjson.loads(line)) for line in lines.splitlines() if line)


def encode_outcome(outcome: Outcome) -> bytes:
    """Write an outcome as JSON; money as a string, so that it stays exact."""
    return orjson.dumps(outcome, default=str)


def outcome_from(body: bytes) -> Outcome:
    """Read what ``encode_outcome`` wrote."""
    fields = orjson.loads(body)
    error, usage, cost, cache = fields["error"], fields["usage"], fields["cost_usd"], fields["cache"]
    file = fields.get("response_file")
    return Outcome(
        status=JobStatus(fields["status"]),
        response=fields["response"],
        error=None if error is None else JobError(**error),
        usage=None if usage is None else Usage(**usage),
        cost_usd=None if cost is None else Decimal(cost),
        served_by=fields["served_by"],
        cache=None if cache is None else CacheResult(cache),
        response_file=None if file is None else FileReference(**file),
    )


def encode_reply(report: ReplyReport) -> bytes:
    """Write what became of a reply as JSON."""
    return orjson.dumps(report)


def _reply_from(body: bytes) -> ReplyReport:
    fields = orjson.loads(body)
    return ReplyReport(ReplyStatus(fields["status"]), fields["at"], fields["message"])


def batch_fields(batch: Batch) -> list[str | bytes | int | float]:
    """Write a new batch as fields and values. Its counts begin at zero: they are the store's to keep."""
    fields: dict[str, str | bytes | int | float] = {
        "id": batch.id,
        "team": batch.team,
        "endpoint": batch.endpoint or "",
        "created_at": repr(batch.created_at),
        "is_open": int(batch.is_open),
        "webhook": batch.webhook or "",
        "tell": "" if batch.webhook is None else Mailbox.WEBHOOKS.value,
        **dict.fromkeys(("total", "succeeded", "failed", "cancelled", "expired"), 0),
    }
    return [part for field in fields.items() for part in field]


def batch_from(values: Mapping[bytes, bytes] | Sequence[bytes]) -> Batch | None:
    """Read a batch from fields and values, in turns or as a mapping; None if there are none."""
    found: Mapping[bytes, bytes] = (
        values if isinstance(values, Mapping) else dict(zip(values[::2], values[1::2], strict=True))
    )
    if not found:
        return None
    text: dict[str, Any] = {name.decode(): value.decode() for name, value in found.items()}
    return Batch(
        id=text["id"],
        team=text["team"],
        endpoint=text["endpoint"] or None,
        created_at=float(text["created_at"]),
        is_open=text["is_open"] == "1",
        total=int(text["total"]),
        succeeded=int(text["succeeded"]),
        failed=int(text["failed"]),
        cancelled=int(text["cancelled"]),
        expired=int(text["expired"]),
        finished_at=float(text["finished_at"]) if "finished_at" in text else None,
        webhook=text.get("webhook") or None,
        sequence=int(text["sequence"]) if "sequence" in text else None,
        reopened=int(text.get("reopened", 0)),
    )
