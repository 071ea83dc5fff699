"""What stands in a configuration and has no effect: each key is named, none is silently ignored."""

import difflib
from collections.abc import Iterator

from shared.wire.config_known_keys import KNOWN, PASSED_TO_LITELLM
from shared.wire.config_litellm import ConfigFile, LiteLLMParams, ModelInfo, RouterSettings
from shared.wire.config_values import Section


def doubts(file: ConfigFile) -> tuple[str, ...]:
    """Name every key that has no effect, by its full path and in the order of the file."""
    return (*_doubts(file, ""), *_said_twice(file))


def is_typo(key: str) -> bool:
    """Tell whether a parameter is one that we know, misspelt. Such a one is not passed on."""
    return key not in KNOWN[LiteLLMParams] and key not in PASSED_TO_LITELLM and bool(_close(key, LiteLLMParams))


def _doubts(section: Section, path: str) -> Iterator[str]:
    for name in type(section).model_fields:
        yield from _inside(getattr(section, name), f"{path}{name}")
    if isinstance(section, RouterSettings) and section.routing_strategy.startswith("usage-based-routing"):
        yield (
            f"{path}routing_strategy: {section.routing_strategy} is not supported; least-busy is used, which like it "
            "prefers what has most room. The limits are kept across all workers in any case."
        )
    for key in section.model_extra or {}:
        yield from _extra(section, str(key), f"{path}{key}")


def _said_twice(file: ConfigFile) -> Iterator[str]:
    for key in ("num_retries", "allowed_fails"):
        ours, theirs = getattr(file.router_settings, key), getattr(file.litellm_settings, key)
        if ours is not None and theirs is not None and ours != theirs:
            yield f"litellm_settings.{key}: {theirs} has no effect; router_settings.{key} says {ours}, and goes first."


def _inside(value: object, path: str) -> Iterator[str]:
    if isinstance(value, Section):
        yield from _doubts(value, f"{path}.")
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from _inside(member, f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, member in value.items():
            yield from _inside(member, f"{path}.{key}")


def _extra(section: Section, key: str, path: str) -> Iterator[str]:
    known = key in KNOWN.get(type(section), ())
    if isinstance(section, ModelInfo) and not known:
        return  # a note for people
    if isinstance(section, LiteLLMParams) and not known:
        yield from _parameter(section, key, path)
    elif known:
        yield f"{path}: not supported yet; it has no effect."
    else:
        yield f"{path}: unknown; it has no effect.{_hint(key, type(section))}"


def _parameter(params: LiteLLMParams, key: str, path: str) -> Iterator[str]:
    if is_typo(key):
        yield f"{path}: unknown; it has no effect.{_hint(key, LiteLLMParams)}"
    elif not params.goes_through_litellm:
        yield f"{path}: has no effect on an endpoint that is called over HTTP; `forebay_client: litellm` makes use of it."
    elif key not in PASSED_TO_LITELLM:
        yield f"{path}: unknown here; it is passed to LiteLLM as it is."


def _hint(key: str, kind: type[Section]) -> str:
    close = _close(key, kind)
    return f" Did you mean `{close[0]}`?" if close else ""


def _close(key: str, kind: type[Section]) -> list[str]:
    names = [*kind.model_fields, *KNOWN.get(kind, ()), *(PASSED_TO_LITELLM if kind is LiteLLMParams else ())]
    return difflib.get_close_matches(key.lower(), sorted(names), n=1, cutoff=0.8)
