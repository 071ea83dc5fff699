"""The circuit breaker of a deployment, which is one credential for one model: when to leave it alone, and how to come back.

::

    closed ──failures in a row──► open ──cooldown──► half open ──the probe succeeds──► ramping ──► closed
                                   ▲                    │                                 │
                                   └────the probe fails─┴────────failures in a row────────┘

Its state is part of what all workers share of a deployment (``shared.domain.limit_state``), so an outage is paid for once,
not once a worker. While it ramps, the number of calls at once begins at two and grows by one with each success, which
doubles it in each travel time, and is kept by a failure that is borne: the slow start of TCP (Jacobson, "Congestion
Avoidance and Control", 1988).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Self

LONGEST_COOLDOWN_S: Final = 60.0
"""Each opening in a row doubles the cooldown, up to this."""

FIRST_WINDOW: Final = 2
RAMPED_AT: Final = 64
"""Calls at once with which a ramp begins, and at which it is over."""

PROBE_LOST_AFTER_S: Final = LONGEST_COOLDOWN_S
"""Seconds after which a probe without an end is taken for lost with its worker, and another one may go."""

PROBE_RECHECK_S: Final = 0.25
"""Seconds after which a deployment whose probe or ramp is under way is looked at again."""

SAME_MOMENT_S: Final = 0.001
"""A call granted this shortly after an opening was granted before it: moments are rounded on their way."""


class BreakerState(StrEnum):
    """Whether a deployment is called."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    RAMPING = "ramping"


class Health(StrEnum):
    """What the end of a call says of the deployment."""

    GOOD = "good"
    """It answered, if only to refuse a request for the client's fault or a full limit."""
    BAD = "bad"
    """It failed: another client would have seen the same."""
    UNKNOWN = "unknown"
    """Nothing: the call was cancelled."""


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a breaker opens and for how long.

    allowed_fails: failures in a row that are borne; one more opens it. cooldown_s: seconds until the first probe.
    """

    allowed_fails: int = 3
    cooldown_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Circuit:
    """A breaker at a moment.

    failures: in a row, while closed or ramping. opened_at: when it last opened; 0: never.
    open_until: when it may be probed; 0: it is not open. openings: in a row, without a ramp that came to its end.
    window: calls at once while it ramps; 0: no bound.
    """

    failures: int = 0
    opened_at: float = 0.0
    open_until: float = 0.0
    openings: int = 0
    window: int = 0

    def state(self, now: float) -> BreakerState:
        """Give the word for it."""
        if self.open_until:
            return BreakerState.OPEN if now < self.open_until else BreakerState.HALF_OPEN
        return BreakerState.RAMPING if self.window else BreakerState.CLOSED

    def wait_s(self, granted_at: Iterable[float], now: float) -> float:
        """Give the seconds until a call may be tried, 0 for now. ``granted_at``: of each call that is under way."""
        if now < self.open_until:
            return self.open_until - now
        bound = 1 if self.open_until else self.window
        if not bound:
            return 0.0
        oldest = now - PROBE_LOST_AFTER_S if self.open_until else 0.0
        under_way = sum(self.knows(moment) and moment > oldest for moment in granted_at)
        return PROBE_RECHECK_S if under_way >= bound else 0.0

    def knows(self, granted_at: float) -> bool:
        """Whether a call granted then was granted since it opened; the end of an older one is no news."""
        return granted_at > self.opened_at + SAME_MOMENT_S

    def after(self, health: Health, granted_at: float, policy: BreakerPolicy, now: float) -> Self:
        """Give the breaker after the end of a call that was granted at ``granted_at``."""
        if health is Health.UNKNOWN or not self.knows(granted_at):
            return self
        return self._succeeded() if health is Health.GOOD else self._failed(policy, now)

    def _succeeded(self) -> Self:
        if self.open_until:
            return replace(self, failures=0, open_until=0.0, window=FIRST_WINDOW)
        if self.window and self.window + 1 < RAMPED_AT:
            return replace(self, failures=0, window=self.window + 1)
        return replace(self, failures=0, window=0, openings=0)

    def _failed(self, policy: BreakerPolicy, now: float) -> Self:
        failures = self.failures + 1
        if not self.open_until and failures <= policy.allowed_fails:
            return replace(self, failures=failures)
        cooldown = min(LONGEST_COOLDOWN_S, policy.cooldown_s * 2 ** min(self.openings, 10))
        return replace(self, failures=0, opened_at=now, open_until=now + cooldown, openings=self.openings + 1, window=0)
