"""What a call takes of a provider's limits, what it asks for, and what is fixed of each deployment.

How the limits are kept is told in ``limit_state``; who asks for capacity, and where, in ``reservations``.
"""

from dataclasses import dataclass
from typing import Final, Self

from shared.domain.circuit import BreakerPolicy, Health
from shared.domain.routing import ConfiguredLimits, Deployment

KINDS: Final = ("requests", "tokens", "input_tokens", "output_tokens")
"""What providers count, in the order of all amounts and rates. ``tokens`` are input and output together."""

Amounts = tuple[float, float, float, float]
"""Of each of ``KINDS``."""

SomeAmounts = tuple[float | None, float | None, float | None, float | None]
"""Of each of ``KINDS``; None: there is none, or it is not known."""

NONE_OF_THEM: Final[SomeAmounts] = (None, None, None, None)

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
    def amounts(self) -> Amounts:
        """The amounts of each kind."""
        return (self.requests, self.tokens, self.input_tokens, self.output_tokens)


NOTHING_TAKEN: Final = Cost(0.0)
"""What a call took that was never made."""


@dataclass(frozen=True, slots=True)
class Rates:
    """A deployment's limits. ``per_second``: of each kind; None: no such limit. ``parallel``: calls at once."""

    per_second: SomeAmounts
    parallel: int | None = None

    @classmethod
    def of(cls, configured: ConfiguredLimits) -> Self:
        """Take them from the configuration."""
        per_second = (
            _a_second(configured.requests_per_minute),
            _a_second(configured.tokens_per_minute),
            _a_second(configured.input_tokens_per_minute),
            _a_second(configured.output_tokens_per_minute),
        )
        return cls(per_second, configured.max_parallel_requests)

    @property
    def is_unknown(self) -> bool:
        """Whether nothing was configured, so that the limit must be found."""
        return self.per_second == NONE_OF_THEM


@dataclass(frozen=True, slots=True)
class Sighting:
    """What an answer's headers say of the provider's own count, where they say it.

    per_second: the limits it enforces; remaining: what it has left now; both of each kind.
    """

    per_second: SomeAmounts = NONE_OF_THEM
    remaining: SomeAmounts = NONE_OF_THEM


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
    """What is fixed of a deployment.

    lifetime_s: seconds after which a reservation that nobody settled or renewed is forgotten.
    """

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
    held_up_s: seconds for which it waited for who reads its answer, which are not the provider's.
    """

    health: Health
    was_answered: bool = False
    seen: Sighting = Sighting()
    held_up_s: float = 0.0


def _a_second(a_minute: int | None) -> float | None:
    return None if a_minute is None else a_minute / 60
