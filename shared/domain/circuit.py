"""The circuit breaker of a deployment, which is one credential for one model: when to leave it alone for a while."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a breaker opens and for how long.

    allowed_fails: failures in a row that open it. cooldown_s: seconds until the first probe.
    """

    allowed_fails: int = 3
    cooldown_s: float = 5.0
