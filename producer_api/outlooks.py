"""What is known of each lane's backlog in this process, about a second old, so that no submission waits for it.

Between two looks the jobs that this process sends are added by itself; those of other processes are seen at the next look.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Final

from producer_api.lane_survey import LaneSurvey
from shared.domain.backlog import LaneOutlook
from shared.domain.catalog import Catalog, Lane
from shared.domain.clock import Clock
from shared.domain.errors import Unavailable
from shared.domain.events import BackgroundTaskDied, Emit
from shared.domain.lane_sight import LaneSight
from shared.domain.lanes import JobClass

FRESH_S: Final = 1.0
"""Seconds after which a lane is looked at again, if somebody asks for it."""

STALE_S: Final = 30.0
"""Seconds after which what was seen says nothing any more."""

LONGEST_WAIT_S: Final = 0.25
"""Seconds that a submission waits for the first look at a lane; then it goes on without."""

NEWS: Final = 0.05
"""The weight of one job in the tokens that a job of the lane is expected to take."""


@dataclass(slots=True)
class _Known:
    """seen, outlook: of the last look; the outlook with what joined since.

    on_the_way: what joined and is not in its queue yet, by class and team; a look cannot see it.
    newcomers: what the last look did not see, by class and team; coming: the same of the look under way.
    """

    seen: LaneSight | None = None
    outlook: LaneOutlook | None = None
    looked_at: float = float("-inf")
    looking: asyncio.Task[None] | None = None
    on_the_way: Counter[tuple[JobClass, str]] = field(default_factory=Counter)
    newcomers: Counter[tuple[JobClass, str]] = field(default_factory=Counter)
    coming: Counter[tuple[JobClass, str]] = field(default_factory=Counter)
    tokens_per_job: float = 0.0


class Outlooks:
    """The lanes' outlooks, each with at most one look under way."""

    def __init__(self, survey: LaneSurvey, catalog: Catalog, clock: Clock, emit: Emit) -> None:
        """``survey`` looks at the lanes of ``catalog``."""
        self._survey = survey
        self._clock = clock
        self._emit = emit
        self._catalog = catalog
        self._known = {name: _Known() for name in catalog.lanes}

    async def of(self, lane: str) -> LaneOutlook | None:
        """Give the outlook of a lane; None: the servers did not tell in time.

        Only the first to ask for a lane, or the first after a long silence, waits, and not for long.
        """
        known = self._known[lane]
        looking = known.looking
        if looking is None and self._clock.monotonic() - known.looked_at >= FRESH_S:
            looking = self._begin_to_look(known, self._catalog.lanes[lane])
        if known.outlook is None or self._clock.now() - known.outlook.at > STALE_S:
            known.outlook = None
            left = LONGEST_WAIT_S - (self._clock.monotonic() - known.looked_at)
            if looking is not None and left > 0:
                await asyncio.wait([looking], timeout=left)
        return known.outlook

    def others_than(self, team: str, team_has: int, lane: str, job_class: JobClass) -> int:
        """Count the jobs of a class and its surplus that are not the team's, which has at most so many there.

        Of what joined since the last look, it is known whose it is.
        """
        known, classes = self._known[lane], {job_class, job_class.surplus}
        news = {whose: jobs for (each, whose), jobs in known.newcomers.items() if each in classes}
        seen = known.seen.jobs_in(classes) if known.seen else 0
        return max(0, seen - team_has) + sum(news.values()) - news.get(team, 0)

    def joined(self, lane: str, job_class: JobClass, team: str) -> None:
        """Note that a job of a team goes to a class of a lane; ``arrived`` or ``left`` says what became of it."""
        known = self._known[lane]
        for counter in (known.on_the_way, known.newcomers, known.coming):
            counter[job_class, team] += 1
        if known.outlook is not None:
            known.outlook = known.outlook.joined_by(job_class)

    def arrived(self, lane: str, job_class: JobClass, team: str) -> None:
        """Note that a job which was said to join is in its queue: the next look sees it."""
        _take_one(self._known[lane].on_the_way, (job_class, team))

    def left(self, lane: str, job_class: JobClass, team: str) -> None:
        """Note that a job which was said to join did not."""
        known = self._known[lane]
        for counter in (known.on_the_way, known.newcomers, known.coming):
            _take_one(counter, (job_class, team))
        if known.outlook is not None:
            known.outlook = known.outlook.joined_by(job_class, -1)

    def known(self, lane: str) -> LaneOutlook | None:
        """Give the outlook of a lane as it is known now; None: it is not."""
        return self._known[lane].outlook

    async def sight(self, lane: Lane, *, at_once: bool = False) -> LaneSight:
        """Give what is seen of a lane, not older than a second; ``at_once``: not older than this call.

        Raises ``Unavailable``.
        """
        known = self._known[lane.name]
        if at_once and known.looking is not None:
            await asyncio.wait([known.looking])
        if at_once or known.seen is None or self._clock.now() - known.seen.at > FRESH_S:
            await asyncio.shield(known.looking or self._begin_to_look(known, lane))
        assert known.seen is not None
        return known.seen

    def expect_tokens(self, lane: str, tokens: float) -> None:
        """Note how many tokens a job of the lane is expected to take."""
        known = self._known[lane]
        known.tokens_per_job += (NEWS if known.tokens_per_job else 1.0) * (tokens - known.tokens_per_job)
        if known.outlook is not None and not known.outlook.tokens_per_job:
            known.outlook = replace(known.outlook, tokens_per_job=known.tokens_per_job)

    async def close(self) -> None:
        """End the looks under way."""
        looking = [known.looking for known in self._known.values() if known.looking is not None]
        for look in looking:
            look.cancel()
        await asyncio.gather(*looking, return_exceptions=True)

    def _begin_to_look(self, known: _Known, lane: Lane) -> asyncio.Task[None]:
        known.looked_at = self._clock.monotonic()
        known.coming = Counter(known.on_the_way)
        known.looking = looking = asyncio.create_task(self._look(known, lane))
        looking.add_done_callback(lambda look: self._looked(known, look))
        return looking

    async def _look(self, known: _Known, lane: Lane) -> None:
        seen = replace(await self._survey.look(lane), tokens_per_job=known.tokens_per_job)
        outlook = self._survey.outlook(seen)
        for (job_class, _), jobs in known.coming.items():
            outlook = outlook.joined_by(job_class, jobs)
        known.seen, known.outlook, known.newcomers = seen, outlook, Counter(known.coming)

    def _looked(self, known: _Known, look: asyncio.Task[None]) -> None:
        known.looking = None
        if look.cancelled():
            return
        error = look.exception()
        if error is not None and not isinstance(error, Unavailable):  # who cannot see now looks again in a second
            self._emit(BackgroundTaskDied("lane-outlook", type(error).__name__))


def _take_one(counter: Counter[tuple[JobClass, str]], key: tuple[JobClass, str]) -> None:
    if counter[key] > 1:
        counter[key] -= 1
    else:
        del counter[key]
