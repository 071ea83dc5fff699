"""What a call takes of a provider's limits, what it asks for, and what is fixed of each deployment.

How the limits are kept is told in ``limit_state``; who asks for capacity, and where, in ``reservations``.
"""

from dataclasses import dataclass
from typing import Final, Self

from shared.domain.circuit import BreakerPolicy, Health
from shared.domain.routing import ConfiguredLimits, Deployment

RESERVATION_S: Final = 60.0
"""Seconds after which the reservation of a killed worker is forgotten, added to the deployment's own timeout."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call takes of each limit. Tokens are an estimate before the call, the provider's counts after it."""

    requests: float = 1.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0

    @property
    def tokens(self) -> float:
        """Input and output together, as most providers count."""
        return self.input_tokens + self.output_tokens

    @property
    def amounts(self) -> tuple[float, float]:
        """Requests and tokens, in the order of ``Rates.per_second``."""
        return (self.requests, self.tokens)


NOTHING_TAKEN: Final = Cost(0.0)
"""What a call took that was never made."""


@dataclass(frozen=True, slots=True)
class Rates:
    """A deployment's limits. ``per_second``: requests and tokens; None: no such limit. ``parallel``: calls at once."""

    per_second: tuple[float | None, float | None]
    parallel: int | None = None

    @classmethod
    def of(cls, configured: ConfiguredLimits) -> Self:
        """Take them from the configuration."""
        minute = (configured.requests_per_minute, configured.tokens_per_minute)
        requests, tokens = (None if limit is None else limit / 60 for limit in minute)
        return cls((requests, tokens), configured.max_parallel_requests)

    @property
    def is_unknown(self) -> bool:
        """Whether nothing was configured, so that the limit must be found."""
        return self.per_second == (None, None)


@dataclass(frozen=True, slots=True)
class Sighting:
    """What an answer's headers say of the provider's own count, where they say it.

    per_second: the limits it enforces; remaining: what it has left now; both requests and tokens.
    """

    per_second: tuple[float | None, float | None] = (None, None)
    remaining: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a call asks for: a name of its own, its estimated cost, and what it must leave to others.

    kept: the share of every limit that must be left for higher classes. only_idle: nothing that others wait for.
    """

    name: str
    cost: Cost
    kept: float = 0.0
    only_idle: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """What is fixed of a deployment. ``lifetime_s``: seconds after which a reservation that nobody settled is forgotten."""

    rates: Rates
    breaker: BreakerPolicy
    lifetime_s: float

    @classmethod
    def of(cls, deployment: Deployment, breaker: BreakerPolicy) -> Self:
        """Give those of a deployment whose lane has this breaker."""
        return cls(Rates.of(deployment.limits), breaker, RESERVATION_S + deployment.timeout_s)


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How a call ended.

    health: what it says of the deployment. was_answered: there was an answer, so its latency counts.
    seen: what its headers say of the provider's own count.
    """

    health: Health
    was_answered: bool = False
    seen: Sighting = Sighting()
