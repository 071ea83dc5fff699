"""Dead letters as people look for them: by what they say, and by the job in them."""

from dataclasses import dataclass
from typing import Self

from shared.domain.job import JobSpec
from shared.domain.work_queue import DeadLetter


@dataclass(frozen=True, slots=True)
class Obituary:
    """What is told of a dead letter, without the message itself. ``size``: bytes of its body. ``copies``: letters with its id.

    spec: of the job in it; None: there is none that can be read, and ``problem`` says why.
    rejection: of a submission that came as a message: what was wrong with it.
    """

    letter_id: str
    reason: str
    died_at: float | None
    lane: str | None
    queue: str | None
    size: int
    spec: JobSpec | None = None
    problem: str | None = None
    copies: int = 1
    rejection: str | None = None

    @classmethod
    def of(cls, letter: DeadLetter, spec: JobSpec | None, problem: str | None) -> Self:
        """Describe a letter, of whose job ``spec`` could be read."""
        origin = letter.queue
        queue = None if origin is None else origin.lane if letter.is_mail else f"{origin.lane}.{origin.job_class.name}"
        lane = spec.lane if spec is not None else None if origin is None or letter.is_mail else origin.lane
        size = len(letter.message.body)
        return cls(
            letter.id, letter.reason, letter.died_at, lane, queue, size, spec, problem, rejection=letter.rejection
        )

    @property
    def place(self) -> tuple[float, str]:
        """Where it stands among others: by its death, and then by its id."""
        return (self.died_at or 0.0, self.letter_id)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters are meant; None: all. ``model``: as it was asked for, or the lane."""

    letter_id: str | None = None
    reason: str | None = None
    model: str | None = None
    team: str | None = None

    def picks(self, obituary: Obituary) -> bool:
        """Whether a letter is meant."""
        spec = obituary.spec
        names = {obituary.lane} if spec is None else {spec.lane, spec.model}
        return (
            self.letter_id in (None, obituary.letter_id)
            and self.reason in (None, obituary.reason)
            and (self.model is None or self.model in names)
            and (self.team is None or (spec is not None and spec.team == self.team))
        )
