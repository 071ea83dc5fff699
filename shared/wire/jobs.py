"""A job as a client submits it: the body of ``POST /v1/jobs`` and each line of a bulk upload."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from shared.domain.answer_cache import CacheMode, CachePolicy
from shared.domain.durations import parse_duration
from shared.domain.errors import InvalidInput
from shared.domain.job import Attribution
from shared.domain.lanes import Priority
from shared.domain.routing import RoutingWish
from shared.wire import openai
from shared.wire.moments import format_moment, parse_moment
from shared.wire.object_body import read_as
from shared.wire.openai import Endpoint

LONGEST_WAIT_S: Final = 366 * 86_400.0
"""How far ahead, in seconds, a job may be scheduled or have its deadline."""

MOST_METADATA: Final = 16
MOST_FALLBACKS: Final = 10


def _duration(value: object) -> float:
    return parse_duration(_text(value))


def _moment(value: object) -> float:
    return parse_moment(_text(value))


def _text(value: object) -> str:
    """Give a text as it is, and what is none as the empty one, which is refused with the same words as a wrong one."""
    return value if isinstance(value, str) else ""


def _few(metadata: dict[str, str]) -> dict[str, str]:
    if len(metadata) > MOST_METADATA:
        raise ValueError(f"must have at most {MOST_METADATA} pairs, found {len(metadata)}")
    return metadata


Duration = Annotated[
    float, BeforeValidator(_duration), WithJsonSchema({"type": "string", "examples": ["90s", "30m", "24h", "7d"]})
]
Moment = Annotated[float, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
Label = Annotated[str, Field(max_length=256)]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    AfterValidator(_few),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": MOST_METADATA,
            "propertyNames": {"maxLength": 64},
            "additionalProperties": {"type": "string", "maxLength": 512},
        }
    ),
]


class AttributionWish(BaseModel):
    """Whom the cost belongs to, below the team."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    project: Label | None = None
    feature: Label | None = None
    user: Label | None = None

    def to_domain(self) -> Attribution:
        """Give the domain's word for it."""
        return Attribution(self.project, self.feature, self.user)


class CacheWish(BaseModel):
    """How the job uses the answer cache; what is left out is the server's default. ``ttl``: seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["exact", "refresh", "off"] | None = None
    ttl: Annotated[float, Field(strict=True, gt=0, le=LONGEST_WAIT_S)] | None = None
    namespace: Annotated[str, Field(max_length=128)] | None = None

    def over(self, default: CachePolicy) -> CachePolicy:
        """Give the policy of these wishes, and for the rest of ``default``."""
        return CachePolicy(
            mode=default.mode if self.mode is None else CacheMode(self.mode),
            ttl_s=default.ttl_s if self.ttl is None else self.ttl,
            namespace=default.namespace if self.namespace is None else self.namespace,
        )


class RoutingFields(BaseModel):
    """What the job asks of its routing; ``fallbacks``: models to try after its own, instead of the configured ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    region: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    fallbacks: Annotated[list[Annotated[str, Field(max_length=256)]], Field(max_length=MOST_FALLBACKS)] | None = None

    def to_domain(self) -> RoutingWish:
        """Give the domain's word for it."""
        return RoutingWish(self.region, None if self.fallbacks is None else tuple(self.fallbacks))


class CallbackWish(BaseModel):
    """Who is told when the job has ended. ``webhook``: a URL that gets the event, signed with the team's secret."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    webhook: str | None = None


class Submission(BaseModel):
    """A job to be done. Only ``request`` is required; it reaches the provider as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: Endpoint = Endpoint.CHAT_COMPLETIONS
    request: dict[str, Any]
    priority: Priority = Priority.STANDARD
    within: Duration | None = None
    deadline: Moment | None = None
    run_at: Moment | None = None
    attribution: AttributionWish = AttributionWish()
    metadata: Metadata = {}
    cache: CacheWish = CacheWish()
    routing: RoutingFields = RoutingFields()
    callback: CallbackWish = CallbackWish()

    @classmethod
    def parse(cls, body: bytes, now: float) -> Self:
        """Read and check a submission that arrived at ``now`` (seconds since the epoch).

        Raises:
            InvalidInput: what is wrong, where, and what is allowed; nothing of the request is quoted.
        """
        submission = read_as(cls, body, "a JSON object with at least `request`")
        submission._check_times(now)  # noqa: SLF001 - its own class
        openai.check(submission.endpoint, submission.request)
        return submission

    def latest_finish(self, now: float) -> float | None:
        """Give the deadline as seconds since the epoch, however it was expressed."""
        return self.deadline if self.within is None else now + self.within

    def _check_times(self, now: float) -> None:
        if self.within is not None and self.deadline is not None:
            raise InvalidInput("`within` and `deadline` say the same thing; give one of them.", param="within")
        if self.within is not None and not 0 < self.within <= LONGEST_WAIT_S:
            raise InvalidInput(
                f"`within` must be more than 0 and at most 366 days; found {self.within:.15g} seconds.", param="within"
            )
        for name, moment in (("deadline", self.deadline), ("run_at", self.run_at)):
            if moment is not None and moment > now + LONGEST_WAIT_S:
                raise InvalidInput(f"`{name}` must be at most 366 days ahead.", param=name)
        finish = self.latest_finish(now)
        if finish is not None and finish <= now:
            found = format_moment(finish) if finish >= 0 else "a time before 1970"
            raise InvalidInput(
                f"`deadline` must be in the future, which begins at {format_moment(now)}; found {found}.",
                param="deadline",
            )
        if self.run_at is not None and finish is not None and self.run_at >= finish:
            raise InvalidInput("`run_at` must be before the deadline.", param="run_at")
