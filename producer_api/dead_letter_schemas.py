"""How dead letters are answered, for the OpenAPI document; see ``schemas``."""

from typing import Any, Literal

from producer_api.schemas import Answer, Attempt, ErrorDetail


class DeadLetterObject(Answer):
    """A message that nobody works on. Times are RFC 3339 in UTC.

    ``problem``: why no job can be read from it. ``rejection``: what was wrong with a submission that came as a message; its code is the ``reason``. ``size``: bytes. ``copies``: letters with this id; they are one.
    ``job_status``, ``error``, ``revivals``, ``replayed_at`` (positions in ``attempts`` at which a replay began) and ``attempts`` (those before a replay too) are of the job's record; null if that is gone, ``error`` in a list as well.
    """

    id: str
    object: Literal["dead_letter"]
    job_id: str | None
    team: str | None
    model: str | None
    lane: str | None
    reason: str
    problem: str | None
    rejection: str | None
    error: ErrorDetail | None
    died_at: str | None
    queue: str | None
    size: int
    copies: int
    job_status: str | None
    revivals: int | None
    replayed_at: list[int] | None
    attempts: list[Attempt] | None


class OpenedDeadLetter(DeadLetterObject):
    """A dead letter and what is in it, asked for with ``?request=true``.

    ``request``: as the client sent it; null if it is gone from the file store. ``request_file``: where it lies there, if
    it was too large for a message. ``body``: the beginning of the message, where no job can be read from it.
    """

    request: dict[str, Any] | None
    request_file: str | None
    body: str | None


class DeadLetterList(Answer):
    """A page of dead letters, the first to die first."""

    object: Literal["list"]
    data: list[DeadLetterObject]
    first_id: str | None
    last_id: str | None
    has_more: bool
    next_after: str | None


class Problem(Answer):
    """A letter that could not be replayed, and why."""

    id: str
    message: str


class Replayed(Answer):
    """What a replay did. ``kept``: letters that stay; ``problems`` names the first hundred of them.

    ``has_more``: there are letters that were not looked at; the same call again looks at some of them.
    """

    object: Literal["dead_letters.replayed"]
    replayed: int
    kept: int
    problems: list[Problem]
    has_more: bool


class Dropped(Answer):
    """How many letters were thrown away; ``has_more``: there are letters that were not looked at."""

    object: Literal["dead_letters.dropped"]
    dropped: int
    has_more: bool
