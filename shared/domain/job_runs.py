"""The port by which one worker after the other, and only one at a time, runs a job.

Every operation is atomic and may be repeated after a lost reply without doing anything twice.
All of them raise ``StoreUnavailable`` when the server cannot be reached in time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from shared.domain.job import Attempt, JobSpec, Outcome
from shared.domain.notices import Notice


class ClaimResult(StrEnum):
    """What a claim found."""

    GRANTED = "granted"
    FINISHED = "finished"
    """The job has its final status (cancelled and expired included): only the message is left over."""
    HELD = "held"
    """Another worker runs it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a claim.

    fence: the token of the attempt; grows with every grant. ``finish`` and ``release`` refuse an older one.
    holder: the worker that holds the job (``HELD``: another one; ``GRANTED``: the caller).
    starts: grants so far, this one included. lost: holders that were gone before they ended what they had begun.
    attempts: all that came to an end; a run may make several.
    """

    result: ClaimResult
    fence: int = 0
    holder: str = ""
    starts: int = 0
    lost: int = 0
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Finish:
    """The answer to ``finish``; it is true if the job has this outcome.

    is_ours: False: the fence is stale. notices: to be published before the message is acknowledged.
    """

    is_ours: bool
    notices: tuple[Notice, ...] = ()

    def __bool__(self) -> bool:
        """Whether the job has this outcome."""
        return self.is_ours


class JobRuns(Protocol):
    """The jobs' records, as whoever runs jobs needs them."""

    async def claim(
        self, spec: JobSpec, worker: str, *, instead_of: str | None = None, holder_lives: bool = False
    ) -> Claim:
        """Ask to run a job. A record that was lost is made again from ``spec``.

        A job held by another worker is granted only if that is ``instead_of``: the caller says so after
        ``is_alive`` said no; that counts as a lost worker, unless ``holder_lives`` and could only not let go. A worker that already holds the job is told ``HELD`` by itself.
        """
        ...

    async def release(self, spec: JobSpec, fence: int, attempts: Sequence[Attempt]) -> bool:
        """End a run without an outcome: the job is queued again. False: the fence is stale, nothing was changed.

        ``attempts`` of this run are kept in the job's history; none leaves no trace there, and takes back the start.
        """
        ...

    async def finish(self, spec: JobSpec, fence: int, outcome: Outcome, attempts: Sequence[Attempt]) -> Finish:
        """Give a job its final status, tell those who wait, count it in its batch, start its retention.

        It is ours if it has this outcome, now or since an earlier call with the same fence. Only the call that ended it
        gives its notices; whoever comes later asks the outbox.
        """
        ...

    async def note_broken(self, spec: JobSpec, attempts: Sequence[Attempt]) -> None:
        """Add attempts to a job that was cancelled or has expired; of any other, nothing.

        Whoever ends a job that runs elsewhere knows nothing of the call that is broken off by it; its worker adds that.
        Added twice in a row they are there once.
        """
        ...
