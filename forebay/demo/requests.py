"""The demo's batch: Python's own documentation, a request a docstring, some of them asked twice."""

import ast
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from shared.domain.errors import ForebayError

REPEATED_SHARE: Final = 0.2
_MODEL: Final = "gpt-4o-mini"
_INSTRUCTION: Final = "Summarise this docstring in one sentence."
_ANSWER_TOKENS: Final = 60
_FIRST_OF_A_MODULE: Final = 5
_SHORTEST: Final = 120
_LONGEST: Final = 1_500


@dataclass(frozen=True, slots=True)
class DemoBatch:
    """What was written: how many requests, and which of them (by custom_id) ask the same as an earlier one."""

    requests: int
    repeats: dict[str, str]


def write_batch(path: Path, requests: int) -> DemoBatch:
    """Write a file in the OpenAI Batch format, of so many requests; every repeat stands half a file after its first.

    Raises:
        ForebayError: this Python has too few docstrings, or none (its sources are not installed).
    """
    repeated = int(requests * REPEATED_SHARE)
    questions = list(_take(docstrings(Path(sysconfig.get_path("stdlib"))), requests - repeated))
    if len(questions) < requests - repeated:
        raise ForebayError(f"Python's library here has {len(questions)} docstrings; ask for fewer --requests.")
    repeats: dict[str, str] = {}
    with path.open("wb") as file:
        for name, text, first in _in_order(questions, repeated):
            if first is not None:
                repeats[name] = first
            file.write(orjson.dumps(_request(name, text), option=orjson.OPT_APPEND_NEWLINE))
    return DemoBatch(requests, repeats)


def docstrings(library: Path) -> Iterator[tuple[str, str]]:
    """Yield names and docstrings of modules, classes and functions: a few of each module, then the rest of each.

    Nothing is imported.
    """
    seen: set[str] = set()
    for part in (slice(_FIRST_OF_A_MODULE), slice(_FIRST_OF_A_MODULE, None)):
        for source in sorted(library.glob("[a-z]*.py")):
            worthwhile = [(name, text[:_LONGEST]) for name, text in _of_module(source) if len(text) >= _SHORTEST]
            for name, text in worthwhile[part]:
                if text not in seen:
                    seen.add(text)
                    yield name, text


def _of_module(source: Path) -> Iterator[tuple[str, str]]:
    module = ast.parse(source.read_bytes())
    yield source.stem, ast.get_docstring(module) or ""
    yield from _of_body(source.stem, module.body)


def _of_body(outer: str, body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield f"{outer}.{node.name}", ast.get_docstring(node) or ""
        if isinstance(node, ast.ClassDef):
            yield from _of_body(f"{outer}.{node.name}", node.body)


def _in_order(questions: list[tuple[str, str]], repeated: int) -> Iterator[tuple[str, str, str | None]]:
    before_repeats = len(questions) - repeated
    for position, (name, text) in enumerate(questions):
        yield name, text, None
        if position >= before_repeats:
            first, again = questions[position - before_repeats]
            yield f"{first} (again)", again, first


def _request(custom_id: str, docstring: str) -> dict[str, Any]:
    messages = [{"role": "system", "content": _INSTRUCTION}, {"role": "user", "content": docstring}]
    return {
        "custom_id": custom_id,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": _MODEL, "messages": messages, "max_tokens": _ANSWER_TOKENS},
    }


def _take(items: Iterator[tuple[str, str]], count: int) -> Iterator[tuple[str, str]]:
    names: set[str] = set()
    for name, text in items:
        if len(names) == count:
            return
        if name not in names:
            names.add(name)
            yield name, text
