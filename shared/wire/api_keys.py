"""An API key as an administrator asks for it, and as the API shows it."""

from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from shared.domain.allowances import Allowance, OnLimit, Terms
from shared.domain.api_keys import ApiKey
from shared.domain.tenants import DEFAULT_SCOPES, Scope
from shared.wire.moments import format_moment, format_optional
from shared.wire.object_body import read_as

LONGEST_TEAM_BYTES: Final = 128
LONGEST_NAME: Final = 128
LARGEST_LIMIT: Final = 10**12
LIMIT_KEYS: Final = ("rpm", "tpm", "rpd", "tpd")
"""What clients and configurations call the limits, in the order of ``Allowance.limits``."""


def check_team(team: str) -> str:
    """Give the name of a team as it is; raises ``ValueError`` where it cannot be one."""
    if not team.isprintable() or team != team.strip() or not 0 < len(team.encode()) <= LONGEST_TEAM_BYTES:
        raise ValueError(f"1 to {LONGEST_TEAM_BYTES} bytes of printable text without spaces at its ends")
    return team


def _team(team: str) -> str:
    try:
        return check_team(team)
    except ValueError as error:
        raise ValueError(f"must be {error}") from None


def _printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError("must be printable text")
    return name


def _some(scopes: list[Scope]) -> list[Scope]:
    if not scopes:
        raise ValueError("must name at least one of `submit`, `read`, `admin`")
    return scopes


Limit = Annotated[int, Field(strict=True, ge=0, le=LARGEST_LIMIT)]
Tokens = Annotated[int, Field(strict=True, ge=1, le=LARGEST_LIMIT)]


class LimitsWish(BaseModel):
    """Limits of one key; what is left out is unlimited."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rpm: Limit | None = None
    tpm: Limit | None = None
    rpd: Limit | None = None
    tpd: Limit | None = None

    def to_domain(self) -> Allowance:
        """Give the domain's word for it."""
        return Allowance(self.rpm, self.tpm, self.rpd, self.tpd)


class KeyWish(BaseModel):
    """A key to be made. Only ``team`` is required; the limits are beside those of the team."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    team: Annotated[str, AfterValidator(_team)]
    name: Annotated[str, Field(max_length=LONGEST_NAME), AfterValidator(_printable)] = ""
    scopes: Annotated[list[Scope], AfterValidator(_some)] = list(DEFAULT_SCOPES)
    limits: LimitsWish = LimitsWish()
    on_limit: OnLimit | None = None
    max_input_tokens: Tokens | None = None
    max_output_tokens: Tokens | None = None

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read and check the body of a request.

        Raises:
            InvalidInput: what is wrong, where, and what is allowed.
        """
        return read_as(cls, body, "a JSON object with at least `team`")

    @property
    def terms(self) -> Terms:
        """What is agreed with the key's holder."""
        return Terms(self.limits.to_domain(), self.on_limit, self.max_input_tokens, self.max_output_tokens)

    @property
    def asked_scopes(self) -> tuple[Scope, ...]:
        """The scopes, each once, in the order in which they are documented."""
        return tuple(scope for scope in Scope if scope in self.scopes)


def render_key(key: ApiKey) -> dict[str, Any]:
    """Give the key object. Times are RFC 3339 in UTC; the key itself is not in it, nor known here."""
    terms = key.terms
    return {
        "id": key.id,
        "object": "key",
        "team": key.team,
        "name": key.name,
        "hint": key.hint,
        "scopes": [scope.value for scope in key.scopes],
        "limits": dict(zip(LIMIT_KEYS, terms.allowance.limits, strict=True)),
        "on_limit": terms.on_limit,
        "max_input_tokens": terms.max_input_tokens,
        "max_output_tokens": terms.max_output_tokens,
        "created_at": format_moment(key.created_at),
        "revoked_at": format_optional(key.revoked_at),
    }
