"""Dead letters as the API shows them, and how an administrator names those to be replayed or dropped."""

from contextlib import suppress
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.domain.dead_letters import Obituary, Selection
from shared.domain.errors import InvalidInput, MalformedMessage
from shared.domain.job import Job
from shared.domain.work_queue import DeadLetter
from shared.wire.envelope import decode
from shared.wire.job_object import render_attempt, render_error
from shared.wire.moments import format_optional
from shared.wire.object_body import read_as

LONGEST_WORD: Final = 1_000
"""Characters of a reason, or of a name, that is looked for."""

NOT_TO_REPLAY: Final = "It is a rejected submission, whose key is not kept; publish it again."
"""Why a submission that was rejected is no job, and becomes none."""

_LONGEST_BODY: Final = 65_536
_ONE_OF_THEM: Final = 'a JSON object with `"all": true`, or one or more of `reason`, `model`, `team`'

Word = Annotated[str, Field(min_length=1, max_length=LONGEST_WORD)]


class SelectionWish(BaseModel):
    """Which dead letters are meant: all, or those with this reason, of this model, of this team."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: Word | None = None
    model: Word | None = None
    team: Word | None = None
    all: Literal[True] | None = None

    @classmethod
    def parse(cls, body: bytes) -> Selection:
        """Read and check the body of a request.

        Raises:
            InvalidInput: what is wrong, where, and what is allowed. Nothing said is not everything.
        """
        return read_as(cls, body, _ONE_OF_THEM)._selection()  # noqa: SLF001 - its own class

    def _selection(self) -> Selection:
        named = {"reason": self.reason, "model": self.model, "team": self.team}
        if (self.all is None) == (not any(named.values())):
            raise InvalidInput(f"The body must be {_ONE_OF_THEM}; not both.", param="all")
        return Selection(**named)


def obituary_of(letter: DeadLetter) -> Obituary:
    """Say what is known of a letter, and of the job in it; mail is about a job, and has none in it."""
    if letter.is_mail:
        return Obituary.of(letter, None, None)
    if letter.rejection is not None:
        return Obituary.of(letter, None, NOT_TO_REPLAY)
    try:
        return Obituary.of(letter, decode(letter.message.body).spec, None)
    except MalformedMessage as error:
        return Obituary.of(letter, None, error.message)


def render_dead_letter(obituary: Obituary, job: Job | None) -> dict[str, Any]:
    """Give the dead letter object; ``job``: the record of the job in it, if it is still there."""
    spec = obituary.spec
    return {
        "id": obituary.letter_id,
        "object": "dead_letter",
        "job_id": None if spec is None else spec.id,
        "team": None if spec is None else spec.team,
        "model": None if spec is None else spec.model,
        "lane": obituary.lane,
        "reason": obituary.reason,
        "problem": obituary.problem,
        "rejection": obituary.rejection,
        "error": None
        if job is None or job.outcome is None or job.outcome.error is None
        else render_error(job.outcome.error),
        "died_at": format_optional(obituary.died_at),
        "queue": obituary.queue,
        "size": obituary.size,
        "copies": obituary.copies,
        "job_status": None if job is None else job.status.shown.value,
        "revivals": None if job is None else job.revivals,
        "replayed_at": None if job is None else list(job.replayed_at),
        "attempts": None if job is None else [render_attempt(attempt) for attempt in job.attempts],
    }


def render_request(letter: DeadLetter) -> dict[str, Any]:
    """Give what a letter asks for: the request as it was sent, or, if it cannot be read, the beginning of the body.

    A request that lies in a file is null here, and ``request_file`` says where it lies.
    """
    shown = {"request": None, "request_file": None, "body": None}
    if letter.rejection is None:
        with suppress(MalformedMessage):
            envelope = decode(letter.message.body)
            file = envelope.spec.request_file
            return shown | ({"request": envelope.request} if file is None else {"request_file": file.path})
    return shown | {"body": letter.message.body[:_LONGEST_BODY].decode(errors="replace")}
