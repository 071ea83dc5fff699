"""How the schedule is answered, for the OpenAPI document; see ``schemas``."""

from typing import Literal

from producer_api.schemas import Answer


class LeaderObject(Answer):
    """The scheduler that leads, or that led last. ``term`` grows with each change; ``until``: its lease."""

    name: str
    term: int
    is_leading: bool
    since: str
    until: str


class DutyRunObject(Answer):
    """One run. ``ended_at`` null: it is under way, or its scheduler died in it. ``did``: how much there was to do.

    ``did_of``: of what, where the duty counts apart.
    """

    due_at: str
    began_at: str
    ended_at: str | None
    by: str
    term: int
    did: int | None
    did_of: dict[str, int]
    error: str | None


class DutyObject(Answer):
    """A duty of the timetable; ``last_runs``: the last one first."""

    name: str
    times: str
    next_run_at: str | None
    last_runs: list[DutyRunObject]


class ScheduleObject(Answer):
    """Who leads, and what runs when. ``leader`` null: no scheduler has run yet."""

    object: Literal["schedule"]
    leader: LeaderObject | None
    duties: list[DutyObject]
