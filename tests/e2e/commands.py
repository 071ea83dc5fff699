"""The ``forebay`` commands as people run them: each a process, with what it wrote and how it ended."""

import asyncio
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from tests.e2e.processes import ADMIN_KEY, end, start

WITHIN_S: Final = 90.0


@dataclass(frozen=True)
class Ended:
    """A command's exit status and everything it wrote."""

    status: int
    stdout: str
    stderr: str


class Started:
    """A command under way."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._said = ""

    async def until_it_says(self, text: str) -> str:
        """Wait for a line on stderr that contains the text; give the line."""
        assert self._process.stderr is not None
        async with asyncio.timeout(WITHIN_S):
            while line := (await self._process.stderr.readline()).decode():
                self._said += line
                if text in line:
                    return line
        raise AssertionError(f"it never said {text!r}, but: {self._said}")

    def send(self, signal_number: signal.Signals) -> None:
        self._process.send_signal(signal_number)

    async def end(self, stdin: bytes | None = None) -> Ended:
        """Wait for its end."""
        async with asyncio.timeout(WITHIN_S):
            stdout, stderr = await self._process.communicate(stdin)
        assert self._process.returncode is not None
        return Ended(self._process.returncode, stdout.decode(), self._said + stderr.decode())


@asynccontextmanager
async def started(*arguments: str, settings: Mapping[str, str]) -> AsyncIterator[Started]:
    """Start ``forebay …``; killed at the end of the block if it still runs."""
    process = await start(*arguments, settings=settings)
    try:
        yield Started(process)
    finally:
        await end(process)


async def run(*arguments: str, url: str, stdin: bytes | None = None) -> Ended:
    """Run ``forebay …`` against a server to its end."""
    async with started(*arguments, settings=at(url)) as command:
        return await command.end(stdin)


def at(url: str) -> dict[str, str]:
    """Give the settings that point commands at a server."""
    return {"FOREBAY_URL": url, "FOREBAY_ADMIN_KEY": ADMIN_KEY}
