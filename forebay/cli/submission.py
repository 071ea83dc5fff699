"""A file in the OpenAI Batch format on its way to the server."""

import hashlib
import secrets
from array import array
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from forebay.cli.batch_lines import BadLine, JobOptions, custom_id_of, to_job
from forebay.cli.progress import Meter
from forebay.client import ApiError, AsyncClient, Unreachable
from shared.domain.clock import Clock
from shared.domain.errors import InvalidInput

TRIES: Final = 4
_PAUSE_S: Final = 2.0
_CHUNK_BYTES: Final = 65_536
_UNAVAILABLE: Final = 503
_NO_LINES: Final = "empty_body"


@dataclass(frozen=True, slots=True)
class Submission:
    """What the server made of a file. ``bad``: in the file's order; ``batch_id`` None: it has not one good line."""

    batch_id: str | None
    accepted: int
    bad: tuple[BadLine, ...]


class Upload:
    """One passage of a file.

    Memory: eight bytes a line, to find the lines that the server rejects, and every custom_id, to find
    those that come twice.
    """

    def __init__(self, file: BinaryIO, options: JobOptions, meter: Meter) -> None:
        """Read ``file`` from its beginning."""
        self._file = file
        self._options = options
        self._meter = meter
        self._numbers = array("Q")
        self._first_use: dict[str, int] = {}
        self.bad: list[BadLine] = []

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the converted lines, several at a time; those that cannot be converted go to ``bad``."""
        size = self._file.seek(0, 2)
        self._file.seek(0)
        chunk, read = bytearray(), 0
        for number, line in enumerate(self._file, start=1):
            read += len(line)
            chunk += self._converted(number, line)
            if len(chunk) >= _CHUNK_BYTES:
                yield bytes(chunk)
                chunk.clear()
                self._meter.show(read, size, f"{len(self._numbers):,} lines")
        if chunk:
            yield bytes(chunk)
        self._meter.show(size, size, f"{len(self._numbers):,} lines")

    def rejected(self, rejections: list[dict[str, Any]]) -> list[BadLine]:
        """Give the lines that the server rejected, by their numbers in the file."""
        errors = {self._numbers[rejection["line"] - 1]: rejection["error"] for rejection in rejections}
        if not errors:
            return []
        self._file.seek(0)
        return [
            BadLine(number, custom_id_of(line), str(errors[number].get("code")), str(errors[number].get("message")))
            for number, line in enumerate(self._file, start=1)
            if number in errors
        ]

    def _converted(self, number: int, line: bytes) -> bytes:
        if not line.strip():
            return b""
        try:
            job = to_job(line, number, self._options)
            self._note_use(job["metadata"]["custom_id"], number)
        except InvalidInput as error:
            self.bad.append(BadLine(number, custom_id_of(line), error.error_code, error.message))
            return b""
        self._numbers.append(number)
        return orjson.dumps(job, option=orjson.OPT_APPEND_NEWLINE)

    def _note_use(self, custom_id: str, number: int) -> None:
        first = self._first_use.setdefault(custom_id, number)
        if first != number:
            raise InvalidInput(f"custom_id: the same as on line {first}", param="custom_id", code="duplicate_custom_id")


def idempotency_key(path: Path, options: JobOptions) -> str:
    """Give the same key for the same content and options, so that a repeated submission continues the first."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(orjson.dumps(options))
    return f"submit-{digest.hexdigest()}"


def fresh_key() -> str:
    """Give a key that was never used, for a run that shares nothing with earlier ones."""
    return f"submit-{secrets.token_hex(16)}"


async def submit_file(
    client: AsyncClient, path: Path, options: JobOptions, key: str, meter: Meter, clock: Clock
) -> Submission:
    """Upload a file; when it is interrupted, again: the server goes on where the one before ended.

    Raises:
        ApiError: the server refused the whole.
        Unreachable: it could not be reached, ``TRIES`` times.
    """
    for _ in range(TRIES - 1):
        try:
            return await _submit_once(client, path, options, key, meter)
        except Unreachable:
            if not client.was_reached:
                raise
            await clock.sleep(_PAUSE_S)
        except ApiError as error:
            if error.status != _UNAVAILABLE:
                raise
            await clock.sleep(error.retry_after_s or _PAUSE_S)
    return await _submit_once(client, path, options, key, meter)


async def _submit_once(client: AsyncClient, path: Path, options: JobOptions, key: str, meter: Meter) -> Submission:
    with path.open("rb") as file:
        upload = Upload(file, options, meter)
        try:
            answer = await client.submit_bulk(upload.chunks(), key)
        except ApiError as error:
            if error.code == _NO_LINES and upload.bad:
                return Submission(None, 0, tuple(upload.bad))
            raise
        bad = sorted([*upload.bad, *upload.rejected(answer["rejected"])], key=lambda line: line.number)
        return Submission(answer["batch_id"] if answer["accepted"] else None, answer["accepted"], tuple(bad))
