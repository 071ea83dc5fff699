"""From a line of a file in the OpenAI Batch format to a line of ``POST /v1/jobs/bulk``.

Checked here is only what is needed to convert; the rest is the server's to judge.
"""

from dataclasses import dataclass
from typing import Any, Final

import orjson

from shared.domain.errors import InvalidInput

CUSTOM_ID: Final = "custom_id"
LINE: Final = "line"
"""The names under which a job's metadata keep the line's own id and its number, for the output file."""


@dataclass(frozen=True, slots=True)
class JobOptions:
    """What ``forebay submit`` adds to every line; None leaves it to the server."""

    priority: str | None = None
    within: str | None = None

    def members(self) -> dict[str, str]:
        """Give the job's members that are set."""
        members = {"priority": self.priority, "within": self.within}
        return {name: value for name, value in members.items() if value is not None}


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that became no job. ``number`` counts from 1, as editors do."""

    number: int
    custom_id: str | None
    code: str
    message: str


def to_job(line: bytes, number: int, options: JobOptions) -> dict[str, Any]:
    """Convert one line.

    Raises:
        InvalidInput: it is not a line of that format; ``param`` names the member at fault.
    """
    try:
        request = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"not JSON: {error.msg} at byte {error.pos}", code="invalid_json_line") from None
    if not isinstance(request, dict):
        raise InvalidInput("not a JSON object", code="invalid_json_line")
    custom_id = _text(request, CUSTOM_ID)
    if request.get("method") != "POST":
        raise InvalidInput("method: only `POST` is allowed", param="method", code="invalid_method")
    endpoint = _text(request, "url")
    if "body" not in request:
        raise InvalidInput("body is missing", param="body", code="missing_required_parameter")
    return {
        "endpoint": endpoint,
        "request": request["body"],
        "metadata": {CUSTOM_ID: custom_id, LINE: str(number)},
        **options.members(),
    }


def custom_id_of(line: bytes) -> str | None:
    """Give the line's own id, if it can be read."""
    try:
        request = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    found = request.get(CUSTOM_ID) if isinstance(request, dict) else None
    return found if isinstance(found, str) else None


def _text(request: dict[str, Any], name: str) -> str:
    value = request.get(name)
    if value is None:
        raise InvalidInput(f"{name} is missing", param=name, code="missing_required_parameter")
    if not isinstance(value, str) or not value:
        raise InvalidInput(f"{name}: must be a text that is not empty", param=name, code="invalid_type")
    return value
