"""A child process of the demo: one ``forebay`` command that says in one line of JSON when it is ready."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import orjson

from shared.domain.errors import ForebayError

READY_WITHIN_S: Final = 60.0
_GRACE_S: Final = 20.0
_LOG_TAIL: Final = 2_000


@asynccontextmanager
async def running(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
    """Run ``forebay COMMAND`` for as long as the block runs; give what it said when it was ready.

    It has only the settings in ``environment``, none of those that the demo was started with. It has a
    session of its own, so that Ctrl-C reaches only the demo, which then ends it in good order.

    Raises:
        ForebayError: it ended, or was not ready in time; with the end of its log.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FOREBAY_")}
    with log.open("wb") as errors:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "forebay",
            *command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**inherited, **environment},
            start_new_session=True,
        )
    try:
        yield await _first_line(child, command[0], log)
    finally:
        await _end(child)


async def _first_line(child: asyncio.subprocess.Process, name: str, log: Path) -> dict[str, Any]:
    assert child.stdout is not None
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            line = await child.stdout.readline()
        said: dict[str, Any] = orjson.loads(line)
    except (TimeoutError, orjson.JSONDecodeError):
        raise ForebayError(f"`forebay {name}` did not start. Its log, {log}, ends with: {_tail(log)}") from None
    return said


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-_LOG_TAIL:]


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.returncode is not None:
        return
    child.terminate()
    try:
        async with asyncio.timeout(_GRACE_S):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()
