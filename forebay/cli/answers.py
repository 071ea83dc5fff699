"""The output file: a line a request, in the OpenAI Batch format and in the input's order."""

import os
import tempfile
from collections.abc import AsyncIterable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson

from forebay.cli.batch_lines import CUSTOM_ID, LINE, BadLine

_AFTER_ALL_LINES: Final = 2**63
_CODES: Final = {"cancelled": "batch_cancelled", "expired": "batch_expired"}


class AnswerFile:
    """Collects lines in any order in a file beside the target; ``save`` puts them in order and in place.

    Memory: three numbers a line. Nothing is at the target before ``save``, and nothing is left over without it.
    """

    def __init__(self, path: Path) -> None:
        """``path`` is the target; its folder is made where it is missing."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._spool = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115 - closed by __exit__
        self._places: list[tuple[int, int, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._spool.close()

    def add(self, number: int, document: dict[str, Any]) -> None:
        """Add the answer to line ``number`` of the input."""
        line = orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
        self._places.append((number, self._spool.tell(), len(line)))
        self._spool.write(line)

    def save(self) -> int:
        """Write the file, atomically; give the number of its lines."""
        with tempfile.NamedTemporaryFile(dir=self._path.parent, prefix=f".{self._path.name}.", delete=False) as target:
            try:
                for _, offset, length in sorted(self._places):
                    self._spool.seek(offset)
                    target.write(self._spool.read(length))
                target.flush()
                os.fsync(target.fileno())
                os.chmod(target.name, _readable_as_usual())  # noqa: PTH101 - a name, as tempfile gives it
                os.replace(target.name, self._path)  # noqa: PTH105 - a name, as tempfile gives it
            except BaseException:
                os.unlink(target.name)  # noqa: PTH108 - as above
                raise
        return len(self._places)


async def write_answers(jobs: AsyncIterable[dict[str, Any]], path: Path, bad: Iterable[BadLine] = ()) -> int:
    """Write the answers of finished jobs, and the errors of lines that became none; give the number of lines."""
    with AnswerFile(path) as file:
        for line in bad:
            file.add(line.number, rejection_line(line))
        async for job in jobs:
            number = job["metadata"].get(LINE, "")
            file.add(int(number) if number.isdecimal() else _AFTER_ALL_LINES, answer_line(job))
        return file.save()


def answer_line(job: dict[str, Any]) -> dict[str, Any]:
    """Give the output line of a finished job."""
    line = {"id": job["id"], "custom_id": job["metadata"].get(CUSTOM_ID), "response": None, "error": None}
    if job["status"] == "succeeded":
        return line | {"response": {"status_code": 200, "request_id": job["id"], "body": job["response"]}}
    error = job["error"] or {}
    code = _CODES.get(job["status"]) or error.get("code") or job["status"]
    return line | {"error": {"code": code, "message": error.get("message") or f"The job is {job['status']}."}}


def rejection_line(bad: BadLine) -> dict[str, Any]:
    """Give the output line of an input line that was rejected."""
    error = {"code": bad.code, "message": bad.message}
    return {"id": None, "custom_id": bad.custom_id, "response": None, "error": error}


def _readable_as_usual() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
