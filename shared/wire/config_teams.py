"""What our own users may submit: ``forebay.limits`` and ``forebay.teams``."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field

from shared.domain.allowances import Allowance, OnLimit, Policies, TeamPolicy, Terms
from shared.wire.api_keys import LARGEST_LIMIT, check_team
from shared.wire.config_values import Section, Whole, empty_is_default

Limit = Annotated[Whole, Field(ge=0, le=LARGEST_LIMIT)]
Tokens = Annotated[Whole, Field(ge=1, le=LARGEST_LIMIT)]


def _team_name(value: object) -> object:
    return check_team(value) if isinstance(value, str) else _no_text()


def _feature_name(value: object) -> object:
    return value if isinstance(value, str) else _no_text()


def _no_text() -> object:
    raise ValueError("text; put a number between quotes")


class LimitsSection(Section):
    """Requests and tokens, a minute and a day."""

    rpm: Limit | None = None
    tpm: Limit | None = None
    rpd: Limit | None = None
    tpd: Limit | None = None

    @property
    def allowance(self) -> Allowance:
        """The domain's word for it."""
        return Allowance(self.rpm, self.tpm, self.rpd, self.tpd)


Limits = Annotated[LimitsSection, BeforeValidator(empty_is_default)]


class TeamSection(LimitsSection):
    """One team. users: limits of each of its users; features: of some of its features, by their names."""

    on_limit: OnLimit | None = None
    max_input_tokens: Tokens | None = None
    max_output_tokens: Tokens | None = None
    users: Limits = LimitsSection()
    features: Annotated[
        dict[Annotated[str, BeforeValidator(_feature_name), Field(min_length=1, max_length=256)], Limits],
        BeforeValidator(empty_is_default),
    ] = Field(default_factory=dict)

    @property
    def policy(self) -> TeamPolicy:
        """The domain's word for it."""
        return TeamPolicy(
            Terms(self.allowance, self.on_limit, self.max_input_tokens, self.max_output_tokens),
            self.users.allowance,
            {name: limits.allowance for name, limits in self.features.items()},
        )


Teams = dict[Annotated[str, BeforeValidator(_team_name)], Annotated[TeamSection, BeforeValidator(empty_is_default)]]


def policies(ceiling: LimitsSection, teams: Mapping[str, TeamSection]) -> Policies:
    """Give what is configured in the domain's words."""
    return Policies(ceiling.allowance, {name: team.policy for name, team in teams.items()})
