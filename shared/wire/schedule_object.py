"""The schedule as an administrator sees it."""

from typing import Any

from shared.domain.schedule import Leader, PlannedDuty, Run, ScheduleSight
from shared.wire.moments import format_moment, format_optional


def render_schedule(sight: ScheduleSight) -> dict[str, Any]:
    """Give the schedule object: who leads, and each duty with its next and its last runs. Times are RFC 3339 in UTC."""
    return {
        "object": "schedule",
        "leader": None if sight.leader is None else _render_leader(sight.leader),
        "duties": [
            _render_duty(planned) | {"last_runs": [_render_run(run) for run in runs]} for planned, runs in sight.duties
        ],
    }


def _render_leader(leader: Leader) -> dict[str, Any]:
    return {
        "name": leader.name,
        "term": leader.term,
        "is_leading": leader.is_leading,
        "since": format_moment(leader.since),
        "until": format_moment(leader.until),
    }


def _render_duty(planned: PlannedDuty) -> dict[str, Any]:
    return {"name": planned.name, "times": planned.times, "next_run_at": format_optional(planned.next_at)}


def _render_run(run: Run) -> dict[str, Any]:
    return {
        "due_at": format_moment(run.fires_at),
        "began_at": format_moment(run.began_at),
        "ended_at": format_optional(run.ended_at),
        "by": run.by,
        "term": run.term,
        "did": run.did,
        "did_of": dict(run.parts),
        "error": run.error,
    }
