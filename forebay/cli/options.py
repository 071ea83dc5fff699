"""Flags that several commands share, and what they mean for the settings."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from shared.domain.lanes import Priority

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from shared.domain.errors import ConfigurationError
    from shared.settings import Settings

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8080

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="A LiteLLM config.yaml, with a section of ours if you like."),
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="DIR", help="Where the embedded stack keeps its data. [default: forebay-data]"),
]
Host = Annotated[str, typer.Option("--host", metavar="HOST", help="The address to listen on.")]
Port = Annotated[int, typer.Option("--port", "-p", min=0, max=65_535, help="The port to listen on; 0: any free one.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
JobPriority = Annotated[Priority | None, typer.Option("--priority", help="How urgent the work is.")]


def _writable(out: Path | None) -> Path | None:
    """Look before the work begins whether its answers will find their place."""
    if out is None:
        return None
    if out.is_dir():
        raise typer.BadParameter(f"{out} is a directory; name a file, such as {out / 'answers.jsonl'}")
    folder = next(folder for folder in out.absolute().parents if folder.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise typer.BadParameter(f"{out} cannot be written, because of {folder}; name a file elsewhere")
    return out


OutFile = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        callback=_writable,
        help="Wait, then write the answers here, in the OpenAI Batch output format.",
    ),
]


def settings(config: Path | None, data_dir: Path | None = None) -> "Settings":
    """Read the settings from the environment; what a flag says goes first.

    Raises:
        ConfigurationError: variables hold what they may not.
    """
    from pydantic import ValidationError

    from shared.domain.errors import ConfigurationError
    from shared.settings import Settings

    flags = {"config": config, "data_dir": data_dir}
    try:
        return Settings.model_validate(
            Settings().model_copy(update={name: value for name, value in flags.items() if value is not None})
        )
    except ValidationError as error:
        raise ConfigurationError.together(
            [_wrong_setting(details) for details in error.errors(include_url=False)]
        ) from None


def _wrong_setting(details: "ErrorDetails") -> "ConfigurationError":
    from shared.domain.errors import ConfigurationError

    field = str(details["loc"][0])
    found = "(hidden)" if field in {"admin_key", "amqp_url", "redis_url"} else details["input"]
    return ConfigurationError(f"FOREBAY_{field.upper()}", found, details.get("ctx", {}).get("expected", details["msg"]))
