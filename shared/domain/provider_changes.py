"""That a provider went down or came back: when that is said, what it says, and the port to what was said.

A change is noted before anybody is told of it, and noted as told when every team's outbox has it. So a crash in between
has the same change told to its end, under the same id, whatever the breaker does meanwhile; the next one comes after it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Protocol, Self

from shared.domain import ids
from shared.domain.circuit import BreakerState, Circuit
from shared.domain.notices import Notice

PREFIX: Final = "prv"
"""Of the ids of changes."""

STEADY_AFTER_S: Final = 300.0
"""Seconds since its last opening after which a ramping breaker is taken for closed: with few calls a ramp takes days."""


class ProviderStatus(StrEnum):
    """Whether a deployment is called."""

    DOWN = "down"
    UP = "up"


@dataclass(frozen=True, slots=True)
class ProviderChange:
    """A deployment of a lane went down, or came back.

    since: when its breaker opened, or was first seen closed again; in seconds since the epoch, by the store's clock.
    is_told: every team's outbox has it.
    """

    lane: str
    deployment: str
    status: ProviderStatus
    since: float
    is_told: bool = False

    @property
    def id(self) -> str:
        """``prv_`` and 26 characters that sort by the moment; it follows from all that the change is."""
        text = "\n".join((self.lane, self.deployment, self.status, repr(self.since)))
        digest = hashlib.sha256(text.encode(errors="surrogatepass")).digest()
        return ids.new_id(PREFIX, self.since, lambda bits: int.from_bytes(digest[: bits // 8], "big"))

    def as_told(self) -> Self:
        """Give it as it is when everybody was told."""
        return replace(self, is_told=True)


def change_after(last: ProviderChange, circuit: Circuit, now: float) -> ProviderChange | None:
    """Give what is to be told of a deployment whose breaker is seen so; None: nothing new.

    Between two probes it is as down as before. last: what was told last; of one of which nothing was, that it is up.
    """
    state = circuit.state(now)
    if last.status is ProviderStatus.UP:
        if state not in (BreakerState.OPEN, BreakerState.HALF_OPEN):
            return None
        return replace(last, status=ProviderStatus.DOWN, since=circuit.opened_at, is_told=False)
    is_steady = state is BreakerState.RAMPING and now - circuit.opened_at >= STEADY_AFTER_S
    if state is BreakerState.CLOSED or is_steady:
        return replace(last, status=ProviderStatus.UP, since=now, is_told=False)
    return None


def never_down(lane: str, deployment: str) -> ProviderChange:
    """Give what stands for a deployment of which nothing was ever told."""
    return ProviderChange(lane, deployment, ProviderStatus.UP, 0.0, is_told=True)


class ProviderChanges(Protocol):
    """The port to the last change of each deployment, and to the teams' word of it. All of it raises ``StoreUnavailable``."""

    async def last(self) -> Sequence[ProviderChange]:
        """Give the last change of each deployment that has had one, also of those that are configured no more."""
        ...

    async def note(self, before: ProviderChange, after: ProviderChange) -> bool:
        """Put a deployment's change in the place of the one before (``never_down`` for none), in one step.

        False: another one stands there, and stays.
        """
        ...

    async def tell(self, change: ProviderChange) -> Sequence[Notice]:
        """Put a change into the outbox of each team with enabled endpoints; give the notices to be published.

        A team that has it already gets it no second time, and no notice is given for it.
        """
        ...

    async def told(self, team: str, change_id: str) -> tuple[ProviderChange, int] | None:
        """Give a change that a team is told, and its place among all events of the team.

        None: it is not told, or was so long ago that it is not kept.
        """
        ...
