"""Turns what pydantic found into the domain's ``InvalidInput``: what was found, where, what is allowed."""

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ValidationError

from shared.domain.errors import InvalidInput, Unsupported

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

NOT_YET: Final = frozenset(
    {
        "cache.max_error",
        "cache.tags",
        "routing.complexity",
        "routing.max_cost_usd",
        "routing.task_type",
    }
)
"""Fields of the contract that nothing keeps yet. They are refused, because ignoring them would be a broken promise."""

_SHOWN: Final = frozenset(
    [
        "endpoint",
        "priority",
        "within",
        "deadline",
        "run_at",
        "cache.mode",
        "cache.ttl",
        "routing.region",
        "scopes",
        "events",
        "on_limit",
        "limits.rpm",
        "limits.tpm",
        "limits.rpd",
        "limits.tpd",
        "max_input_tokens",
        "max_output_tokens",
    ]
)
"""Fields whose value may be quoted: none of them can hold a prompt by rights, and what is quoted is cut short."""

_LONGEST_QUOTE: Final = 40
_KINDS: Final[Mapping[type, str]] = {str: "string", list: "list", dict: "object"}


def explain(error: ValidationError, model: type[BaseModel]) -> InvalidInput:
    """Give the first thing that ``error`` says about a ``model``."""
    first = error.errors(include_url=False)[0]
    path = _path(first["loc"])
    if first["type"] == "extra_forbidden":
        return _unknown_field(path, _names_beside(first["loc"], model))
    if path == "cache.mode" and first["input"] == "semantic":
        return Unsupported(
            "`cache.mode` `semantic` is not supported yet; allowed: `exact`, `refresh`, `off`.", param=path
        )
    if not path:
        return InvalidInput(f"The body must be a JSON object; found {kind_of(first['input'])}.")
    if first["type"] == "missing":
        return InvalidInput(f"`{path}` is required.", param=path)
    return InvalidInput(f"`{path}`: {_sentence(first)}{_found(path, first['input'])}.", param=path)


def kind_of(value: object) -> str:
    """Name the sort of a JSON value, without showing it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    emptiness, name = ("" if value else "empty "), _KINDS[type(value)]
    article = "an" if (emptiness + name)[0] in "aeio" else "a"
    return f"{article} {emptiness}{name}"


def _unknown_field(path: str, names: list[str]) -> InvalidInput:
    if path in NOT_YET:
        return Unsupported(f"`{path}` is not supported yet.", param=path)
    prefix, _, name = path.rpartition(".")
    close = difflib.get_close_matches(name[:_LONGEST_QUOTE], names, n=1)
    hint = f"Did you mean `{close[0]}`?" if close else f"Allowed: {', '.join(f'`{allowed}`' for allowed in names)}."
    shown = f"{prefix}.{name}" if prefix else name
    return InvalidInput(f"Unknown field `{shown}`. {hint}", param=shown, code="unknown_parameter")


def _names_beside(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    for part in location[:-1]:
        annotation: Any = model.model_fields[str(part)].annotation
        model = annotation
    return list(model.model_fields)


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part[: 2 * _LONGEST_QUOTE]}"
    return path.removeprefix(".").removesuffix(".[key]")


def _sentence(details: "ErrorDetails") -> str:
    if details["type"] in {"model_type", "dict_type"}:
        return "must be an object"
    message = details["msg"].removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _found(path: str, value: object) -> str:
    if path.partition("[")[0] not in _SHOWN:
        return f"; found {kind_of(value)}"
    quote = repr(value)
    return f"; found {quote if len(quote) <= _LONGEST_QUOTE else quote[:_LONGEST_QUOTE] + '…'}"
