"""What an administrator does with dead letters: find them, look at one, have them run again, throw them away.

To replay is, for each letter: the job's record begins anew and keeps the message; the message is published, confirmed;
the record says so; only then the letter goes. A crash in between leaves the letter, or a record that the scheduler
publishes, or both: then the job runs once all the same, because its message is claimed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from shared.domain.catalog import Catalog
from shared.domain.clock import Clock
from shared.domain.dead_letters import Obituary, Selection
from shared.domain.errors import InvalidInput, MalformedMessage, NotFound, Unroutable
from shared.domain.events import DeadLettersDropped, DeadLettersReplayed, Emit
from shared.domain.job import Envelope, Job, JobStatus
from shared.domain.job_store import JobStore
from shared.domain.lanes import DeferrableWindow
from shared.domain.work_queue import MOST_DEAD_LETTERS, DeadLetter, Message, WorkQueue
from shared.wire.dead_letters import NOT_TO_REPLAY, obituary_of
from shared.wire.envelope import decode, encode

_LONGEST_QUOTE: Final = 80


@dataclass(frozen=True, slots=True)
class LetterPage:
    """Some letters, the first to die first, each with its job's record if that is there."""

    letters: tuple[tuple[Obituary, Job | None], ...]
    has_more: bool


@dataclass(slots=True)
class Settled:
    """What became of the letters that were meant, by their ids; a problem: why one stays.

    has_more: there are letters that were not looked at.
    """

    problems: dict[str, str | None] = field(default_factory=dict)
    has_more: bool = False

    @property
    def gone(self) -> int:
        """How many are letters no more."""
        return sum(problem is None for problem in self.problems.values())

    @property
    def kept(self) -> dict[str, str]:
        """Those that stay, and why."""
        return {letter_id: problem for letter_id, problem in self.problems.items() if problem is not None}


Undertake = Callable[[DeadLetter], Awaitable[str | None]]
"""Does what is to be done with one letter; gives why it must stay, if it must."""

IsACopy = Callable[[DeadLetter], Awaitable[bool]]
"""Tells whether a letter, whose like was dealt with a moment ago, may go without more ado."""


class DeadLetterDesk:
    """Every method raises ``BrokerUnavailable`` and ``StoreUnavailable``; what was done by then stays done."""

    def __init__(
        self,
        queue: WorkQueue,
        store: JobStore,
        catalog: Catalog,
        windows: Sequence[DeferrableWindow],
        clock: Clock,
        emit: Emit,
    ) -> None:
        """``catalog``: the lanes that there are; ``windows``: of deferrable work, the shortest first."""
        self._queue = queue
        self._store = store
        self._catalog = catalog
        self._windows = windows
        self._clock = clock
        self._emit = emit

    async def page(self, selection: Selection, after: str | None, limit: int) -> LetterPage:
        """Give a page of the letters that are meant, those that come after the letter ``after``.

        Raises:
            InvalidInput: there is no letter ``after``.
        """
        found = sorted((await self._find(selection)).values(), key=lambda obituary: obituary.place)
        begin = 0
        if after is not None:
            ids = [obituary.letter_id for obituary in found]
            if after not in ids:
                quoted = after[:_LONGEST_QUOTE]
                raise InvalidInput(
                    f"There is no dead letter `{quoted}` (any more); begin without `after`.", param="after"
                )
            begin = ids.index(after) + 1
        shown = found[begin : begin + limit]
        jobs = await asyncio.gather(*map(self._job_of, shown))
        return LetterPage(tuple(zip(shown, jobs, strict=True)), has_more=begin + limit < len(found))

    async def one(self, letter_id: str) -> tuple[Obituary, Job | None, DeadLetter]:
        """Give a letter, with its job's record and the message itself. Raises ``NotFound``."""
        bodies: list[DeadLetter] = []
        found = await self._find(Selection(letter_id), bodies)
        if not bodies:
            raise _no_letter(letter_id)
        obituary = found[letter_id]
        return obituary, await self._job_of(obituary), bodies[-1]

    async def replay(self, selection: Selection) -> Settled:
        """Have the jobs of the letters that are meant run again; of one job's letters one is published."""
        settled = await self._settle(selection, self._replay, self._is_a_copy)
        self._emit(DeadLettersReplayed(settled.gone, len(settled.kept)))
        return settled

    async def drop(self, selection: Selection) -> Settled:
        """Throw the letters that are meant away; their jobs stay as they are."""
        settled = await self._settle(selection, _throw_away, _may_go_as_well)
        self._emit(DeadLettersDropped(settled.gone))
        return settled

    async def _find(self, selection: Selection, bodies: list[DeadLetter] | None = None) -> dict[str, Obituary]:
        found: dict[str, Obituary] = {}

        async def look(letters: Sequence[DeadLetter]) -> list[bool]:
            for letter in letters:
                obituary = obituary_of(letter)
                if selection.picks(obituary):
                    known = found.get(letter.id)
                    latest = obituary if known is None else max(obituary, known, key=lambda each: each.place)
                    found[letter.id] = replace(latest, copies=1 if known is None else known.copies + 1)
                    if bodies is not None:
                        bodies.append(letter)
            return [False] * len(letters)

        await self._queue.judge_dead_letters(look)
        return found

    async def _settle(self, selection: Selection, undertake: Undertake, is_a_copy: IsACopy) -> Settled:
        settled = Settled()

        async def judge(letters: Sequence[DeadLetter]) -> list[bool]:
            meant = {letter.id: letter for letter in letters if selection.picks(obituary_of(letter))}
            new = {letter_id: letter for letter_id, letter in meant.items() if letter_id not in settled.problems}
            problems = await asyncio.gather(*map(undertake, new.values()))
            settled.problems.update(zip(new, problems, strict=True))
            may_go = {letter_id: problem is None for letter_id, problem in zip(new, problems, strict=True)}
            for letter_id in meant.keys() - new.keys():
                may_go[letter_id] = await is_a_copy(meant[letter_id])
            return [may_go.get(letter.id, False) for letter in letters]

        settled.has_more = await self._queue.judge_dead_letters(judge) >= MOST_DEAD_LETTERS
        if selection.letter_id is not None and not settled.problems:
            raise _no_letter(selection.letter_id)
        return settled

    async def _is_a_copy(self, letter: DeadLetter) -> bool:
        """Whether a letter tells of the death that was dealt with; its job may have failed again meanwhile."""
        job = await self._job_of(obituary_of(letter))
        return job is not None and job.status is not JobStatus.FAILED

    async def _replay(self, letter: DeadLetter) -> str | None:
        try:
            if letter.is_mail and letter.queue is not None:
                await self._queue.publish(letter.queue, letter.message)
                return None
            if letter.rejection is not None:
                return NOT_TO_REPLAY
            return await self._replay_job(letter, decode(letter.message.body))
        except MalformedMessage as error:
            return f"There is no job in it that could run: {error.message}."
        except Unroutable as error:
            return f"It cannot go back to its queue: {error.message}"

    async def _replay_job(self, letter: DeadLetter, envelope: Envelope) -> str | None:
        now = self._clock.now()
        spec = envelope.spec.begun_anew(now)
        if spec.lane not in self._catalog.lanes:
            return f"Its lane `{spec.lane[:_LONGEST_QUOTE]}` is not configured any more."
        body = letter.message.body if spec == envelope.spec else encode(replace(envelope, spec=spec))
        status = await self._store.revive(spec, body)
        if status is not None and status.is_final:
            return f"Its job has {status} by now."
        came_from = letter.queue if letter.queue is not None and letter.queue.lane == spec.lane else None
        queue = spec.queue(now, self._windows) if came_from is None else spec.queue_again(came_from, now, self._windows)
        await self._queue.publish(queue, Message(body, spec.id, letter.message.headers), spec.wait_s(now))
        await self._store.mark_queued(spec.team, [spec])
        return None

    async def _job_of(self, obituary: Obituary) -> Job | None:
        spec = obituary.spec
        return None if spec is None else await self._store.get(spec.team, spec.id)


async def _throw_away(_: DeadLetter) -> str | None:
    return None


async def _may_go_as_well(_: DeadLetter) -> bool:
    return True


def _no_letter(letter_id: str) -> NotFound:
    quoted = letter_id[:_LONGEST_QUOTE]
    return NotFound(f"There is no dead letter `{quoted}`; `GET /v1/dead-letters` lists those that there are.")
