"""The configuration that the roles read: a LiteLLM ``config.yaml`` with our section ``forebay:``."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from shared.domain.allowances import NO_POLICIES, Policies
from shared.domain.answer_cache import DEFAULT_TTL_S, CacheMode, CachePolicy
from shared.domain.backlog import BacklogPolicy
from shared.domain.catalog import Catalog, Fallbacks, Lane
from shared.domain.circuit import BreakerPolicy
from shared.domain.files import DEFAULT_INLINE_LIMIT
from shared.domain.lanes import DeferrableWindow, Priority
from shared.domain.off_peak import OffPeak
from shared.domain.public_addresses import AllowedNetworks
from shared.domain.retry import RetryPolicy
from shared.domain.routing import Deployment, RoutingStrategy
from shared.domain.usage import Price
from shared.wire.config_deployments import ConfiguredDeployment, deployments, is_pattern
from shared.wire.config_doubts import doubts
from shared.wire.config_fallbacks import ConfiguredFallbacks, configured_fallbacks
from shared.wire.config_faults import Faults
from shared.wire.config_litellm import ConfigFile, LiteLLMSettings
from shared.wire.config_loading import read, resolve, validate
from shared.wire.config_teams import policies

NO_MODELS: Final = "model_list: there are no models; every request will be refused with model_not_found."

NEVER_FAILS_SO_OFTEN: Final = 1_000_000_000
"""Failures in a row that no deployment ever has: how a breaker is switched off."""

PriceOf = Callable[[str], Price | None]
"""Gives the public price of a model, by LiteLLM's name of it."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """concurrency: jobs of one lane that a worker runs at a time. grace_s: seconds they may go on after SIGTERM."""

    concurrency: int
    grace_s: float


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """allowed: networks that webhooks may lead to beside public addresses.

    concurrency: deliveries that one receiver gets at a time from a process. timeout_s: seconds that each may take.
    """

    allowed: AllowedNetworks
    concurrency: int
    timeout_s: float


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """What holds for every lane alike, and what comes after each."""

    retry: RetryPolicy
    strategy: RoutingStrategy
    breaker: BreakerPolicy
    fallbacks: ConfiguredFallbacks


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the file says, in the domain's words. No secret shows in its repr.

    aliases: other names of lanes.
    warnings: keys that have no effect, and other doubtful spots, each with its path. faults: those of them which mean
    that something will not work.
    weights: turns of each priority. interactive_reserve: the share of every limit that only interactive work may use.
    windows: of deferrable work, the shortest first. deferrable_idle_share: the share of every limit that it leaves
    free while it is not off-peak.
    admin_key: the administrator's key, if the file names one.
    policies: what our own users may submit.
    retention_s: seconds that a finished job is kept. body_limit: bytes of a request or an NDJSON line.
    inline_limit: bytes of JSON beyond which a request or a result goes to the file store, if there is one.
    """

    deployments: tuple[ConfiguredDeployment, ...]
    aliases: Mapping[str, str]
    lane_settings: LaneSettings
    weights: Mapping[Priority, int]
    interactive_reserve: float
    off_peak: OffPeak
    windows: tuple[DeferrableWindow, ...]
    deferrable_idle_share: float
    cache_default: CachePolicy
    admin_key: SecretStr | None
    worker: WorkerSettings
    backlog: BacklogPolicy
    retention_s: float
    body_limit: int
    webhooks: WebhookSettings
    inline_limit: int = DEFAULT_INLINE_LIMIT
    policies: Policies = NO_POLICIES
    warnings: tuple[str, ...] = ()
    faults: frozenset[str] = frozenset()

    def catalog(self, price_of: PriceOf) -> Catalog:
        """Give the lanes. A deployment without a price of its own gets the public one, if there is one."""
        lanes: dict[str, list[Deployment]] = {}
        for configured in self.deployments:
            deployment = configured.deployment
            priced = replace(deployment, price=deployment.price or price_of(configured.price_name))
            lanes.setdefault(deployment.lane, []).append(priced)
        return Catalog({name: self._lane(name, tuple(members)) for name, members in lanes.items()}, self.aliases)

    def _lane(self, name: str, deployments: tuple[Deployment, ...]) -> Lane:
        settings = self.lane_settings
        fallbacks = settings.fallbacks.by_lane.get(name, Fallbacks())
        return Lane(name, deployments, settings.retry, settings.strategy, fallbacks, settings.breaker)


def load(path: Path | None, environment: Mapping[str, str]) -> Configuration:
    """Read the configuration; None is an empty one. ``environment`` gives the values of ``os.environ/NAME``.

    Raises:
        ConfigurationError: all that is wrong, each thing with the path of its key, what was found, what is allowed. Values
            that do not fit together are told when each of them is right by itself.
    """
    document, origins = resolve(read(path) if path else {}, environment)
    file = validate(document, origins)
    forebay, aliases = file.forebay, _aliases(file)
    faults = Faults()
    made = deployments(file, environment, faults)
    fallbacks = configured_fallbacks(file, _lane_names(file), aliases, faults)
    faults.refuse()
    no_models = () if made else (NO_MODELS,)
    return Configuration(
        deployments=made,
        aliases=aliases,
        lane_settings=LaneSettings(_retry(file), _strategy(file), _breaker(file), fallbacks),
        weights=forebay.priorities.by_priority(),
        interactive_reserve=forebay.interactive_reserve,
        off_peak=forebay.off_peak.to_domain(),
        windows=forebay.deferrable_windows,
        deferrable_idle_share=forebay.deferrable_idle_share,
        cache_default=_cache_default(file.litellm_settings),
        admin_key=file.general_settings.master_key,
        worker=WorkerSettings(forebay.worker.concurrency, forebay.worker.grace),
        backlog=BacklogPolicy(forebay.surplus_after, max(1, forebay.surplus_after // 10), forebay.backlog.max_jobs),
        retention_s=forebay.retention,
        body_limit=forebay.body_limit,
        webhooks=WebhookSettings(
            forebay.webhooks.allow_networks, forebay.webhooks.concurrency, forebay.webhooks.timeout
        ),
        inline_limit=forebay.files.inline_limit,
        policies=policies(forebay.limits, forebay.teams),
        warnings=(*no_models, *_about_models(file), *fallbacks.missing, *fallbacks.warnings, *doubts(file)),
        faults=frozenset({*no_models, *fallbacks.missing}),
    )


def _lane_names(file: ConfigFile) -> frozenset[str]:
    return frozenset(entry.model_name for entry in file.model_list if not is_pattern(entry))


def _aliases(file: ConfigFile) -> dict[str, str]:
    lanes = _lane_names(file)
    return {alias: lane for alias, lane in file.router_settings.aliases.items() if lane in lanes}


def _about_models(file: ConfigFile) -> Iterator[str]:
    lanes = _lane_names(file)
    for index, entry in enumerate(file.model_list):
        if is_pattern(entry):
            yield f"model_list[{index}].model_name: {entry.model_name} is a pattern, which is not supported yet; the entry has no effect."
    for alias, lane in file.router_settings.aliases.items():
        path = f"router_settings.model_group_alias.{alias}"
        if lane not in lanes:
            yield f"{path}: there is no model {lane} in model_list; the alias has no effect."
        elif alias in lanes:
            yield f"{path}: there is a model of that name; every request for it goes to {lane}."


def _retry(file: ConfigFile) -> RetryPolicy:
    retries = file.router_settings.num_retries
    if retries is None:
        retries = file.litellm_settings.num_retries
    return RetryPolicy() if retries is None else RetryPolicy(max_attempts=retries + 1)


def _strategy(file: ConfigFile) -> RoutingStrategy:
    name = file.router_settings.routing_strategy
    return RoutingStrategy.LEAST_BUSY if name.startswith("usage-based-routing") else RoutingStrategy(name)


def _breaker(file: ConfigFile) -> BreakerPolicy:
    router, usual = file.router_settings, BreakerPolicy()
    cooldown_s = usual.cooldown_s if router.cooldown_time is None else router.cooldown_time
    if router.disable_cooldowns:
        return BreakerPolicy(NEVER_FAILS_SO_OFTEN, cooldown_s)
    fails = router.allowed_fails if router.allowed_fails is not None else file.litellm_settings.allowed_fails
    return BreakerPolicy(usual.allowed_fails if fails is None else fails, cooldown_s)


def _cache_default(settings: LiteLLMSettings) -> CachePolicy:
    off = settings.cache is False or settings.cache_params.mode == "default_off"
    return CachePolicy(
        mode=CacheMode.OFF if off else CacheMode.EXACT,
        ttl_s=settings.cache_params.ttl or DEFAULT_TTL_S,
        namespace=settings.cache_params.namespace,
    )
