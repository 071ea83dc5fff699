"""What our own users may submit: who is limited, by how much, and what happens to work beyond it.

Requests and tokens are counted where a job is admitted; tokens as an estimate, which is settled when the job ends.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from shared.domain.errors import StoreUnavailable
from shared.domain.job import Job, JobSpec
from shared.domain.token_bucket import DAY_S, MINUTE_S

LONGEST_QUEUE_S: Final = 7 * DAY_S
"""Seconds for which a job may have to wait for its turn; beyond that it is refused even where the policy says ``queue``."""


class OnLimit(StrEnum):
    """What happens to a job that is over a limit: it is refused, or it waits for its turn."""

    REJECT = "reject"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True)
class Measure:
    """One of the four ways to count. ``amount_of`` is its place in (requests, tokens)."""

    label: str
    amount_of: int
    window_s: float


MEASURES: Final = (
    Measure("requests per minute", 0, MINUTE_S),
    Measure("tokens per minute", 1, MINUTE_S),
    Measure("requests per day", 0, DAY_S),
    Measure("tokens per day", 1, DAY_S),
)
"""In the order of ``Allowance.limits``."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """Limits of one owner; None: no such limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_day: int | None = None

    @property
    def limits(self) -> tuple[int | None, int | None, int | None, int | None]:
        """The limits in the order of ``MEASURES``."""
        return (self.requests_per_minute, self.tokens_per_minute, self.requests_per_day, self.tokens_per_day)

    @property
    def is_unlimited(self) -> bool:
        """Whether nothing is counted."""
        return self.limits == (None, None, None, None)

    @property
    def counts_tokens(self) -> bool:
        """Whether tokens are among what is counted."""
        return self.tokens_per_minute is not None or self.tokens_per_day is not None


UNLIMITED: Final = Allowance()


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed with a team, or with the holder of a key.

    on_limit: None: what the team's terms say, or else ``reject``.
    max_input_tokens, max_output_tokens: of one request; None: as many as the model takes.
    """

    allowance: Allowance = UNLIMITED
    on_limit: OnLimit | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None


NO_TERMS: Final = Terms()


class OwnerKind(StrEnum):
    """Whose buckets those are."""

    INSTALLATION = "installation"
    TEAM = "team"
    USER = "user"
    FEATURE = "feature"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who is limited: a team, or a user, a feature or a key of it; or all together."""

    kind: OwnerKind
    name: str = ""
    team: str = ""

    def __str__(self) -> str:
        """Name the owner as an error does: ``user u-17 of team search``."""
        if self.kind is OwnerKind.INSTALLATION:
            return "the whole installation"
        if self.kind is OwnerKind.TEAM:
            return f"team {self.name}"
        return f"{self.kind} {self.name}" + (f" of team {self.team}" if self.kind is not OwnerKind.KEY else "")


EVERYBODY: Final = Owner(OwnerKind.INSTALLATION)


def owners_of(spec: JobSpec) -> tuple[Owner, ...]:
    """Give everyone within the team whom a job may be charged to."""
    named = (
        (OwnerKind.TEAM, spec.team),
        (OwnerKind.USER, spec.attribution.user),
        (OwnerKind.FEATURE, spec.attribution.feature),
        (OwnerKind.KEY, spec.key_id),
    )
    return tuple(Owner(kind, name, spec.team) for kind, name in named if name is not None)


@dataclass(frozen=True, slots=True)
class TeamPolicy:
    """A team's terms, and the allowances of each of its users and of some of its features."""

    terms: Terms = NO_TERMS
    each_user: Allowance = UNLIMITED
    features: Mapping[str, Allowance] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Policies:
    """Everything that is configured about our own users. ``ceiling``: of all teams together."""

    ceiling: Allowance = UNLIMITED
    teams: Mapping[str, TeamPolicy] = field(default_factory=dict)

    def team(self, name: str) -> TeamPolicy:
        """Give a team's policy; one that nothing is said of has no limits of its own."""
        return self.teams.get(name, TeamPolicy())

    def allowances(self, spec: JobSpec, of_key: Allowance) -> tuple[tuple[Owner, Allowance], ...]:
        """Give everyone within the team who has a limit that counts for this job, with it."""
        policy = self.team(spec.team)
        by_kind = {
            OwnerKind.TEAM: policy.terms.allowance,
            OwnerKind.USER: policy.each_user,
            OwnerKind.FEATURE: policy.features.get(spec.attribution.feature or "", UNLIMITED),
            OwnerKind.KEY: of_key,
        }
        pairs = ((owner, by_kind[owner.kind]) for owner in owners_of(spec))
        return tuple((owner, allowance) for owner, allowance in pairs if not allowance.is_unlimited)


NO_POLICIES: Final = Policies()


@dataclass(frozen=True, slots=True)
class Charge:
    """What a job takes at its admission, and from whom.

    spec: the job; its id makes a repeated charge harmless. idempotency_key: one that is known stands for an earlier job,
    which was charged when it came.
    owners: the limited ones of the team. ceiling: the allowance of all teams together.
    amounts: requests and tokens. patience_s: seconds it would wait for its turn.
    """

    spec: JobSpec
    owners: tuple[tuple[Owner, Allowance], ...]
    ceiling: Allowance
    amounts: tuple[float, float]
    patience_s: float = 0.0
    idempotency_key: str | None = None

    @property
    def counts_tokens(self) -> bool:
        """Whether any of the limits counts tokens, so that there will be something to settle."""
        return self.ceiling.counts_tokens or any(allowance.counts_tokens for _, allowance in self.owners)


@dataclass(frozen=True, slots=True)
class Charged:
    """The charge was taken. The job may run in ``wait_s`` seconds."""

    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class KnownAlready:
    """The idempotency key stands for an earlier job; nothing was taken."""


@dataclass(frozen=True, slots=True)
class OverLimit:
    """Nothing was taken, because of this limit of this owner; it would be granted in ``wait_s`` seconds."""

    owner: Owner
    limit: int
    measure: Measure
    wait_s: float

    def __str__(self) -> str:
        """Say which limit of whom: ``team search: 60 requests per minute``."""
        return f"{self.owner}: {self.limit:,} {self.measure.label}"


class Allowances(Protocol):
    """The port to everybody's buckets. By the store's own clock; raises ``StoreUnavailable``."""

    async def take(self, charges: Sequence[Charge]) -> list[Charged | KnownAlready | OverLimit]:
        """Take each charge in turn from all of its owners or from none; one round trip where none is refused."""
        ...

    async def settle(self, spec: JobSpec, amounts: tuple[float, float]) -> None:
        """Say what a charged job really took, in requests and tokens; a second time changes nothing."""
        ...


async def settle_unfinished(allowances: Allowances, job: Job) -> None:
    """Give back the tokens of a job that was ended before it ever ran. What a run may have used stays charged.

    Without the store all of it stays charged.
    """
    charged = job.spec.charged_tokens
    if charged is not None:
        with suppress(StoreUnavailable):
            await allowances.settle(job.spec, (1.0, 0.0 if job.started_at is None else charged))
