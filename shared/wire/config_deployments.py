"""From entries of ``model_list`` to deployments: their ids, clients, credentials, weights and own prices."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from shared.domain.errors import ConfigurationError
from shared.domain.lanes import OURS
from shared.domain.routing import OPENAI_API_BASE, ClientKind, ConfiguredLimits, Deployment
from shared.domain.usage import Price
from shared.wire.config_doubts import is_typo
from shared.wire.config_faults import Faults
from shared.wire.config_known_keys import KNOWN
from shared.wire.config_litellm import ConfigFile, LiteLLMParams, ModelEntry, ModelInfo
from shared.wire.config_loading import Described, MissingVariable, missing_variable

DEFAULT_TIMEOUT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class ConfiguredDeployment:
    """A deployment; the name under which a public price list may know its model; where it stands in the file."""

    deployment: Deployment
    price_name: str
    path: str


def deployments(file: ConfigFile, environment: Mapping[str, str], faults: Faults) -> tuple[ConfiguredDeployment, ...]:
    """Give a deployment for each entry whose name is not a pattern.

    Faults: a name like our own queues', an id twice, half a price, no address, a variable that is not set.
    """
    entries = [(index, entry) for index, entry in enumerate(file.model_list) if not is_pattern(entry)]
    for index, entry in entries:
        if entry.model_name.startswith(OURS):
            allowed = f"a name that does not begin with '{OURS}', as those of our own queues do"
            faults.add(ConfigurationError(f"model_list[{index}].model_name", entry.model_name, allowed))
    ids = _ids([(f"model_list[{index}]", entry) for index, entry in entries], faults)
    weights = _weights([entry for _, entry in entries])
    timeout_s = file.router_settings.timeout or file.litellm_settings.request_timeout or DEFAULT_TIMEOUT_S
    made = []
    for (index, entry), identifier, weight in zip(entries, ids, weights, strict=True):
        params, path = entry.litellm_params, f"model_list[{index}].litellm_params"
        address = _address(params, path, environment, faults)
        deployment = Deployment(
            id=identifier,
            lane=entry.model_name,
            model=params.model,
            client=ClientKind.LITELLM if params.goes_through_litellm else ClientKind.HTTP,
            api_base=address.base,
            api_key=address.key,
            timeout_s=params.timeout or timeout_s,
            weight=weight,
            order=1 if params.order is None else params.order,
            region=params.region_name,
            price=_own_price(entry, path, faults),
            limits=ConfiguredLimits(params.rpm, params.tpm, params.itpm, params.otpm, params.max_parallel_requests),
            extra=_extra(params, path, faults),
        )
        made.append(ConfiguredDeployment(deployment, entry.model_info.base_model or params.model, path))
    return tuple(made)


def is_pattern(entry: ModelEntry) -> bool:
    """Tell whether the entry's name stands for many models, as LiteLLM's ``openai/*`` does."""
    return "*" in entry.model_name


@dataclass(frozen=True, slots=True)
class _Address:
    base: str | None
    key: str | None


def _address(params: LiteLLMParams, path: str, environment: Mapping[str, str], faults: Faults) -> _Address:
    """Give address and credential; as LiteLLM does, a model of OpenAI's takes what is not written from the environment.

    A credential from the environment never goes to an address that the file names.
    """
    key = params.api_key.get_secret_value() if params.api_key else None
    if params.base or params.goes_through_litellm:
        return _Address(params.base, key)
    if not params.model.startswith("openai/"):
        allowed = "the URL of an endpoint that speaks the OpenAI wire, such as http://127.0.0.1:8000/v1"
        faults.add(ConfigurationError(f"{path}.api_base", Described("nothing"), allowed))
        return _Address(None, key)
    base = environment.get("OPENAI_BASE_URL") or environment.get("OPENAI_API_BASE") or OPENAI_API_BASE
    return _Address(base.rstrip("/"), key or environment.get("OPENAI_API_KEY") or None)


def _ids(entries: Sequence[tuple[str, ModelEntry]], faults: Faults) -> list[str]:
    """Give each entry its own id, or else ``<model>@<host or region>``, with ``#2`` and so on for further ones."""
    given: set[str] = set()
    for path, entry in entries:
        if entry.model_info.id in given:
            allowed = "an id that no other entry has"
            faults.add(ConfigurationError(f"{path}.model_info.id", entry.model_info.id, allowed))
        given |= {entry.model_info.id} if entry.model_info.id else set()
    taken, ids = set(given), []
    for _, entry in entries:
        identifier = entry.model_info.id or next(name for name in _names(entry.litellm_params) if name not in taken)
        taken.add(identifier)
        ids.append(identifier)
    return ids


def _names(params: LiteLLMParams) -> Iterator[str]:
    place = urlsplit(params.base).netloc if params.base else params.region_name
    name = f"{params.model}@{place}" if place else params.model
    yield name
    number = 2
    while True:
        yield f"{name}#{number}"
        number += 1


def _weights(entries: Sequence[ModelEntry]) -> list[float]:
    """Give the weights as LiteLLM's simple-shuffle does: of each name the given ones, else its rpm, else its tpm, else all 1.

    Where some entries of a name have a weight and others none, those others have 0.
    """
    measures: dict[str, str | None] = {}
    for entry in entries:
        params = [other.litellm_params for other in entries if other.model_name == entry.model_name]
        measures[entry.model_name] = next(
            (name for name in ("weight", "rpm", "tpm") if any(getattr(member, name) for member in params)), None
        )
    return [
        float(getattr(entry.litellm_params, measure) or 0) if (measure := measures[entry.model_name]) else 1.0
        for entry in entries
    ]


def _own_price(entry: ModelEntry, path: str, faults: Faults) -> Price | None:
    source: LiteLLMParams | ModelInfo = entry.litellm_params
    if source.input_cost_per_token is None and source.output_cost_per_token is None:
        source, path = entry.model_info, path.replace(".litellm_params", ".model_info")
    given, produced = source.input_cost_per_token, source.output_cost_per_token
    if given is None and produced is None:
        return None
    if given is None or produced is None:
        lacking = "input_cost_per_token" if given is None else "output_cost_per_token"
        allowed = "a price as well, 0 where nothing is charged"
        faults.add(ConfigurationError(f"{path}.{lacking}", Described("nothing"), allowed))
        return None
    return Price(given, produced, source.cache_read_input_token_cost)


def _extra(params: LiteLLMParams, path: str, faults: Faults) -> dict[str, Any]:
    """Give what is passed to LiteLLM: all that it may know and we do not claim."""
    if not params.goes_through_litellm:
        return {}
    passed = {
        key: value
        for key, value in (params.model_extra or {}).items()
        if key not in KNOWN[LiteLLMParams] and not is_typo(key)
    }
    for key, value in passed.items():
        if isinstance(value, MissingVariable):
            faults.add(missing_variable(f"{path}.{key}", value.name))
    return passed | ({"region_name": params.region_name} if params.region_name else {})
