"""Reading the file: YAML, references to the environment, and what is wrong said with its path."""

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from pydantic import ValidationError

from shared.domain.errors import ConfigurationError
from shared.wire.config_faults import Faults
from shared.wire.config_known_keys import SHOWN
from shared.wire.config_litellm import ConfigFile

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

REFERENCE: Final = "os.environ/"
"""How LiteLLM's files refer to an environment variable."""

Location = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Described:
    """Stands in an error for a value that is not shown: because it may be secret, or is large."""

    description: str

    def __repr__(self) -> str:
        return self.description


@dataclass(frozen=True, slots=True)
class MissingVariable:
    """Stands in the document for a reference to a variable that is not set, until somebody wants its value."""

    name: str


def read(file: Path) -> dict[Any, Any]:
    """Read the file's YAML.

    Raises:
        ConfigurationError: it cannot be read, or is not a mapping; a fault of syntax with its line and column.
    """
    try:
        document = yaml.load(file.read_bytes(), Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader that refuses more
    except OSError as error:
        raise ConfigurationError(str(file), Described(error.strerror or "no file"), "a file that can be read") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(file)
        raise ConfigurationError(where, Described(_without_quotes(error.problem)), "valid YAML") from None
    except (yaml.YAMLError, RecursionError):
        raise ConfigurationError(str(file), Described("what is not YAML"), "valid YAML in UTF-8") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigurationError(str(file), _described(document), "a mapping, as in LiteLLM's config.yaml")
    return document


def resolve(document: dict[Any, Any], environment: Mapping[str, str]) -> tuple[dict[Any, Any], dict[Location, str]]:
    """Put the values of environment variables in place of the references to them.

    Also gives where a value came from the environment, and from which variable.

    Raises:
        ConfigurationError: a value contains itself.
    """
    origins: dict[Location, str] = {}
    try:
        return {key: _resolved(member, (key,), environment, origins) for key, member in document.items()}, origins
    except RecursionError:
        raise ConfigurationError(
            "the file", Described("an alias inside its own anchor"), "values with an end"
        ) from None


def validate(document: Mapping[Any, Any], origins: Mapping[Location, str]) -> ConfigFile:
    """Make the typed configuration.

    Raises:
        ConfigurationError: every wrong value, with its path; what may be secret is not shown.
    """
    faults = Faults()
    try:
        return ConfigFile.model_validate(document)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            faults.add(_translated(details, origins))
    raise faults.together()


def path_of(location: Location) -> str:
    """Write a location as people do: ``model_list[0].litellm_params.rpm``."""
    written = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location if part != "[key]")
    return written.removeprefix(".") or "the file"


def missing_variable(path: str, name: str) -> ConfigurationError:
    """Say that a value refers to a variable that is not set."""
    found = Described(f"a reference to the environment variable {name}, which is not set")
    return ConfigurationError(path, found, f"a value; set {name}, or write one in its place")


class _UniqueKeyLoader(yaml.SafeLoader):
    """As SafeLoader, which lets the last of two equal keys win without a word; this one refuses the second."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - the library's signature
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, "the same key twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _resolved(
    value: object, location: Location, environment: Mapping[str, str], origins: dict[Location, str]
) -> object:
    if isinstance(value, dict):
        return {key: _resolved(member, (*location, key), environment, origins) for key, member in value.items()}
    if isinstance(value, list):
        return [_resolved(member, (*location, i), environment, origins) for i, member in enumerate(value)]
    if not isinstance(value, str) or not value.startswith(REFERENCE):
        return value
    name = value.removeprefix(REFERENCE).strip()
    origins[location] = name
    return environment[name] if name in environment else MissingVariable(name)


def _translated(details: "ErrorDetails", origins: Mapping[Location, str]) -> ConfigurationError:
    location, value = details["loc"], details["input"]
    path = path_of(location)
    if isinstance(value, MissingVariable):
        return missing_variable(path, value.name)
    if details["type"] == "missing":
        return ConfigurationError(path, Described("nothing"), "a value: this key is required")
    if location in origins:
        found: object = Described(f"the value of the environment variable {origins[location]}")
    else:
        found = _described(value) if _may_be_secret(location) else _shown(value)
    return ConfigurationError(path, found, _allowed(details))


def _allowed(details: "ErrorDetails") -> str:
    """Say what may stand there; our own validators say it themselves."""
    if details["type"] == "value_error":
        return details["msg"].removeprefix("Value error, ")
    template = _ALLOWED.get(details["type"])
    return template.format(**details.get("ctx", {})) if template else details["msg"]


def _may_be_secret(location: Location) -> bool:
    leaf = next((part.lower() for part in reversed(location) if isinstance(part, str)), "")
    return leaf not in SHOWN


def _shown(value: object) -> object:
    short = isinstance(value, int | float) or (isinstance(value, str) and len(value) <= 80)  # noqa: PLR2004 - a line
    return value if short else _described(value)


def _described(value: object) -> Described:
    if isinstance(value, str):
        return Described("text (not shown)" if value else "empty text")
    names = ((bool, "true or false"), (int | float, "a number (not shown)"), (list, "a list"), (dict, "a mapping"))
    return Described(
        next(
            (name for kind, name in names if isinstance(value, kind)),
            "nothing" if value is None else f"a {type(value).__name__}",
        )
    )


def _without_quotes(problem: str | None) -> str:
    """Cut what the parser quotes of the file: it may be a part of a key. Single characters stay."""
    return re.sub(r"(['\"]).{2,}\1", "'…'", problem or "a fault of syntax")


_ALLOWED: Final = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "enum": "{expected}",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "list_type": "a list",
    "literal_error": "{expected}",
    "model_type": "a mapping",
    "string_pattern_mismatch": "1 to 128 letters, digits or any of _ . : / @ # + -",
    "string_too_long": "at most {max_length} characters",
    "string_too_short": "at least {min_length} character",
    "string_type": "text",
    "tuple_type": "a list",
}
