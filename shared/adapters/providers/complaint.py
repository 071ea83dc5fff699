"""What a provider complains of, read from the many shapes that error bodies have."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

LONGEST_EXCERPT: Final = 200
"""Characters of a provider's own words that are passed on."""

_NAME: Final = re.compile(r"[\w.\-]{1,64}")
_PATH: Final = re.compile(r"[A-Za-z_][\w.\[\]]{0,63}")
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|“[^”]*”|\{.*\}|\[.*\]", re.DOTALL)
_LIKE_A_KEY: Final = re.compile(
    r"\b(?:sk|pk|rk|fb|gsk|xai|hf|key|AIza|Bearer)[-_ ]\S+|\S*[\w\-*/+]{20,}\S*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Complaint:
    """An error, as the provider named it. ``text`` is the whole answer: it may quote prompts and keys."""

    code: str | None
    type: str | None
    param: str | None
    message: str
    text: str

    @property
    def signs(self) -> str:
        """Everything that may tell what kind of error it is, in lower case."""
        return f"{self.code or ''} {self.type or ''} {self.message or self.text}".lower()

    @property
    def names(self) -> tuple[str, ...]:
        """The provider's names for the error and for what it concerns; names only, so they are safe to show."""
        kinds = tuple(dict.fromkeys(name for name in (self.code, self.type) if name and _NAME.fullmatch(name)))
        return kinds + ((f"param {self.param}",) if self.param and _PATH.fullmatch(self.param) else ())

    @property
    def excerpt(self) -> str:
        """The beginning of the provider's own words, without what they quote and what looks like a key."""
        spoken = _LIKE_A_KEY.sub("…", _QUOTED.sub("…", self.message))
        return " ".join(spoken.split())[:LONGEST_EXCERPT]


def read_complaint(text: str) -> Complaint:
    """Read the body of an error: OpenAI's, Anthropic's, Google's, vLLM's, FastAPI's shapes, or no JSON at all."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        document = None
    if isinstance(document, list) and document:
        document = document[0]
    error = document if isinstance(document, Mapping) else {}
    if isinstance(error.get("error"), Mapping):
        error = error["error"]
    return Complaint(
        code=_word(error, "code"),
        type=_word(error, "type") or _word(error, "status"),
        param=_word(error, "param"),
        message=_word(error, "message") or _word(error, "error") or _word(error, "detail") or "",
        text=text,
    )


def _word(error: Mapping[str, Any], name: str) -> str | None:
    value = error.get(name)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
