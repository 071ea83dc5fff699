"""What is unsafe or in vain in a configuration that loads: the part of ``forebay check`` that needs no server."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from shared.domain.allowances import Policies
from shared.domain.answer_cache import CacheMode
from shared.domain.errors import ConfigurationError
from shared.domain.public_addresses import AllowedNetworks, doubt_about
from shared.domain.routing import ClientKind, Deployment
from shared.wire.api_keys import LIMIT_KEYS
from shared.wire.config import Configuration
from shared.wire.config_deployments import ConfiguredDeployment

SHORTEST_GOOD_KEY: Final = 20
"""Characters. Keys are kept as plain SHA-256, which is enough for long random ones only."""

_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Level(StrEnum):
    """How bad a finding is: it will not work, or it may not be meant so."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at. ``path`` is the key's in the file, or the name of an environment variable or server."""

    level: Level
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.level}: {self.path}: {self.message}"


def findings_of(error: ConfigurationError) -> list[Finding]:
    """Give what stopped the reading, as findings."""
    return [Finding(Level.ERROR, wrong.path, wrong.message.removeprefix(f"{wrong.path}: ")) for wrong in error.each]


def findings(configuration: Configuration, admin_key: SecretStr | None = None) -> list[Finding]:
    """Give every finding, the configuration's own warnings among them.

    ``admin_key`` is the one of the environment (``FOREBAY_ADMIN_KEY``), which comes before the file's.
    """
    return [
        *_of_warnings(configuration),
        *_of_deployments(configuration),
        *_of_lanes(configuration),
        *_of_fallbacks(configuration),
        *_of_admin_key(configuration, admin_key),
        *_of_retention(configuration),
        *_of_allowances(configuration.policies),
        *_of_networks(configuration.webhooks.allowed),
    ]


def _of_warnings(configuration: Configuration) -> Iterator[Finding]:
    for warning in configuration.warnings:
        path, _, message = warning.partition(": ")
        yield Finding(Level.ERROR if warning in configuration.faults else Level.WARNING, path, message)


def _of_deployments(configuration: Configuration) -> Iterator[Finding]:
    for configured in configuration.deployments:
        yield from _of_limits(configured.deployment, configured.path)
        yield from _of_credential(configured.deployment, configured.path)
        if configured.deployment.weight == 0:
            yield Finding(
                Level.WARNING,
                f"{configured.path}.weight",
                "is 0; it is called only when all others of its name failed.",
            )


def _of_limits(deployment: Deployment, path: str) -> Iterator[Finding]:
    for name in _limits_of_nothing(deployment):
        yield Finding(Level.WARNING, f"{path}.{name}", "is 0; nothing will ever be sent there.")


def _limits_of_nothing(deployment: Deployment) -> list[str]:
    limits = deployment.limits
    named = {
        "rpm": limits.requests_per_minute,
        "tpm": limits.tokens_per_minute,
        "itpm": limits.input_tokens_per_minute,
        "otpm": limits.output_tokens_per_minute,
        "max_parallel_requests": limits.max_parallel_requests,
    }
    return [name for name, limit in named.items() if limit == 0]


def _of_lanes(configuration: Configuration) -> Iterator[Finding]:
    for lane, members in _lanes(configuration).items():
        if all(_limits_of_nothing(configured.deployment) for configured in members):
            path = members[0].path.replace(".litellm_params", ".model_name")
            message = f"every deployment of {lane} has a limit of 0; its jobs will wait in vain."
            yield Finding(Level.ERROR, path, message)


def _of_fallbacks(configuration: Configuration) -> Iterator[Finding]:
    """Give the steps that no job which must stay in a region can take."""
    regions = {
        lane: {configured.deployment.region for configured in members if configured.deployment.region}
        for lane, members in _lanes(configuration).items()
    }
    for step in configuration.lane_settings.fallbacks.steps:
        here, there = regions[step.lane], regions[step.following]
        if here and not _widest(here) & _widest(there):
            places = f"is in {', '.join(sorted(there))}" if there else "names no region"
            yield Finding(
                Level.WARNING,
                step.path,
                f"{step.lane} is in {', '.join(sorted(here))} and {step.following} {places}; "
                "a job that must stay in a region of the one never falls back to the other.",
            )


def _widest(regions: set[str]) -> set[str]:
    """Give the widest regions that include these: ``eu`` for ``eu-west-1``."""
    return {region.lower().partition("-")[0] for region in regions}


def _lanes(configuration: Configuration) -> dict[str, list[ConfiguredDeployment]]:
    lanes: dict[str, list[ConfiguredDeployment]] = {}
    for configured in configuration.deployments:
        lanes.setdefault(configured.deployment.lane, []).append(configured)
    return lanes


def _of_credential(deployment: Deployment, path: str) -> Iterator[Finding]:
    if deployment.client is not ClientKind.HTTP:
        return  # LiteLLM finds credentials in many places of its own
    url = urlsplit(deployment.api_base or "")
    if deployment.api_key is None and url.hostname not in _LOCAL:
        yield Finding(
            Level.WARNING, f"{path}.api_key", f"there is none for {url.hostname}; the calls go without a credential."
        )
    if deployment.api_key is not None and url.scheme == "http" and url.hostname not in _LOCAL:
        yield Finding(
            Level.WARNING,
            f"{path}.api_base",
            "sends the key and all prompts over http, which anybody on the way can read.",
        )


def _of_admin_key(configuration: Configuration, admin_key: SecretStr | None) -> Iterator[Finding]:
    path = "FOREBAY_ADMIN_KEY" if admin_key else "general_settings.master_key"
    key = admin_key or configuration.admin_key
    if key is None:
        yield Finding(
            Level.WARNING,
            "FOREBAY_ADMIN_KEY",
            "is not set, nor is general_settings.master_key: `forebay up` makes a key, `forebay api` does not start.",
        )
    elif len(key.get_secret_value()) < SHORTEST_GOOD_KEY:
        yield Finding(
            Level.WARNING,
            path,
            f"is shorter than {SHORTEST_GOOD_KEY} characters; take a long random one, such as `openssl rand -hex 24` gives.",
        )


def _of_allowances(policies: Policies) -> Iterator[Finding]:
    """Name every limit that lets nothing in."""
    limited = {"forebay.limits": policies.ceiling}
    for name, team in policies.teams.items():
        path = f"forebay.teams.{name}"
        limited |= {path: team.terms.allowance, f"{path}.users": team.each_user}
        limited |= {f"{path}.features.{feature}": allowance for feature, allowance in team.features.items()}
    for path, allowance in limited.items():
        for key, limit in zip(LIMIT_KEYS, allowance.limits, strict=True):
            if limit == 0:
                yield Finding(Level.WARNING, f"{path}.{key}", "is 0; nothing is let in.")


def _of_networks(allowed: AllowedNetworks) -> Iterator[Finding]:
    for index, network in enumerate(allowed.networks):
        if doubt := doubt_about(network):
            yield Finding(Level.WARNING, f"forebay.webhooks.allow_networks[{index}]", f"{network} {doubt}")


def _of_retention(configuration: Configuration) -> Iterator[Finding]:
    cache = configuration.cache_default
    if cache.mode is not CacheMode.OFF and cache.ttl_s > configuration.retention_s:
        yield Finding(
            Level.WARNING,
            "litellm_settings.cache_params.ttl",
            "is longer than forebay.retention: answers are served after their jobs are gone.",
        )
