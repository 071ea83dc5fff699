"""LiteLLM's ``config.yaml``, as far as Forebay does what it says."""

from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from shared.domain.routing import ClientKind
from shared.wire.config_dispatch_values import FallbackEntries, ModelNames
from shared.wire.config_forebay import ForebaySection
from shared.wire.config_values import (
    BaseUrl,
    Count,
    Dollars,
    PublicName,
    Seconds,
    Secret,
    Section,
    Weight,
    Whole,
    empty_is_default,
)

OUR_CLIENT_CALLS: Final = ("openai/", "hosted_vllm/")
"""Prefixes of the models that our own client calls when ``forebay_client`` does not say who does.

Fewer than those of all providers with the OpenAI wire: LiteLLM also knows where the others are, and their whims.
"""


def _number_is_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Identifier = Annotated[str, BeforeValidator(_number_is_text), Field(pattern=r"^[\w.:/@#+-]{1,128}$")]


AllowedFails = Annotated[Count, Field(le=1_000_000)]


class LiteLLMParams(Section):
    """One deployment. What LiteLLM alone understands stays in ``model_extra`` and is passed on to it."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    api_base: BaseUrl | None = None
    base_url: BaseUrl | None = None
    api_key: Secret = None
    forebay_client: ClientKind | None = None
    region_name: str | None = None
    timeout: Seconds | None = None
    weight: Weight | None = None
    order: Count | None = None
    rpm: Count | None = None
    tpm: Count | None = None
    itpm: Count | None = None
    otpm: Count | None = None
    max_parallel_requests: Count | None = None
    input_cost_per_token: Dollars | None = None
    output_cost_per_token: Dollars | None = None
    cache_read_input_token_cost: Dollars | None = None

    @property
    def base(self) -> str | None:
        """The provider's address, under either of its names."""
        return self.api_base or self.base_url

    @property
    def goes_through_litellm(self) -> bool:
        """Whether LiteLLM makes the calls; otherwise our own client does, which speaks the OpenAI wire."""
        if self.forebay_client is not None:
            return self.forebay_client is ClientKind.LITELLM
        return not self.model.startswith(OUR_CLIENT_CALLS)

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if self.api_base and self.base_url and self.api_base != self.base_url:
            raise ValueError("api_base or base_url, not both: they differ")
        return self


class ModelInfo(Section):
    """What is known about a deployment. Every other key in it is a note, for people."""

    id: Identifier | None = None
    base_model: str | None = None
    input_cost_per_token: Dollars | None = None
    output_cost_per_token: Dollars | None = None
    cache_read_input_token_cost: Dollars | None = None


class ModelEntry(Section):
    """A public name and one deployment behind it."""

    model_name: PublicName
    litellm_params: LiteLLMParams
    model_info: Annotated[ModelInfo, BeforeValidator(empty_is_default)] = ModelInfo()


class AliasTarget(Section):
    """What an alias stands for; LiteLLM's short form is the name alone."""

    model: PublicName


def _long_form(value: object) -> object:
    return {"model": value} if isinstance(value, str) else value


class FallbackSection(Section):
    """What comes after a model that cannot answer: the general way, and those for requests too long or refused.

    ``*`` in place of a model, or ``default_fallbacks``: what comes after all others.
    """

    fallbacks: FallbackEntries = Field(default_factory=list)
    context_window_fallbacks: FallbackEntries = Field(default_factory=list)
    content_policy_fallbacks: FallbackEntries = Field(default_factory=list)
    default_fallbacks: ModelNames = Field(default_factory=list)


class RouterSettings(FallbackSection):
    """How the deployments of one public name are tried, and what comes after them.

    allowed_fails: failures in a row that are borne; after one more a deployment is left alone for ``cooldown_time`` seconds.
    """

    num_retries: Annotated[Whole, Field(ge=0, le=100)] | None = None
    timeout: Seconds | None = None
    routing_strategy: Literal[
        "simple-shuffle",
        "least-busy",
        "latency-based-routing",
        "cost-based-routing",
        "usage-based-routing",
        "usage-based-routing-v2",
    ] = "simple-shuffle"
    allowed_fails: AllowedFails | None = None
    cooldown_time: Seconds | None = None
    disable_cooldowns: Annotated[bool, Field(strict=True)] = False
    model_group_alias: Annotated[
        dict[PublicName, Annotated[AliasTarget, BeforeValidator(_long_form)]], BeforeValidator(empty_is_default)
    ] = Field(default_factory=dict)

    @property
    def aliases(self) -> dict[str, str]:
        """Other names, each with the public name it stands for."""
        return {alias: target.model for alias, target in self.model_group_alias.items()}


class CacheParams(Section):
    """How long an answer may serve again, and to whom."""

    ttl: Seconds | None = None
    namespace: Annotated[str, Field(max_length=128)] = ""
    mode: Literal["default_on", "default_off"] = "default_on"


class LiteLLMSettings(FallbackSection):
    """Settings of LiteLLM as a whole that have a meaning here. What the router's settings say as well, they decide."""

    cache: Annotated[bool, Field(strict=True)] | None = None
    cache_params: Annotated[CacheParams, BeforeValidator(empty_is_default)] = CacheParams()
    num_retries: Annotated[Whole, Field(ge=0, le=100)] | None = None
    request_timeout: Seconds | None = None
    allowed_fails: AllowedFails | None = None


class GeneralSettings(Section):
    """Settings of LiteLLM's proxy that have a meaning here. ``master_key`` is the administrator's key."""

    master_key: Secret = None


class ConfigFile(Section):
    """The whole file."""

    model_list: Annotated[list[ModelEntry], BeforeValidator(lambda value: [] if value is None else value)] = Field(
        default_factory=list
    )
    router_settings: Annotated[RouterSettings, BeforeValidator(empty_is_default)] = RouterSettings()
    litellm_settings: Annotated[LiteLLMSettings, BeforeValidator(empty_is_default)] = LiteLLMSettings()
    general_settings: Annotated[GeneralSettings, BeforeValidator(empty_is_default)] = GeneralSettings()
    forebay: Annotated[ForebaySection, BeforeValidator(empty_is_default)] = ForebaySection()
