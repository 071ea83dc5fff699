"""Forebay's own processes, started, watched and killed."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

ADMIN_KEY: Final = "fb-admin-key-of-the-tests"
START_S: Final = 60.0


@dataclass(frozen=True)
class Running:
    """A process of ours.

    ready: the JSON line it printed, or the log line that says it runs. said: everything it printed after that.
    """

    process: Process
    ready: dict[str, Any]
    said: bytearray

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)

    async def stop(self) -> int:
        """End it politely; give its exit status."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await self.process.wait()


@asynccontextmanager
async def forebay(
    *arguments: str, settings: Mapping[str, str], open_files: int | None = None
) -> AsyncIterator[Running]:
    """Run ``forebay …`` until the block ends; entered when it is ready. ``open_files``: as many as it may have."""
    process = await start(*arguments, settings=settings, open_files=open_files)
    assert process.stdout is not None
    assert process.stderr is not None
    said = bytearray()
    is_up = arguments[0] == "up"
    listening = [asyncio.create_task(_listen(process.stderr if is_up else process.stdout, said))]
    try:
        async with asyncio.timeout(START_S):
            ready = await (_json_line(process.stdout) if is_up else _log_line(process.stderr, "role started"))
        listening.append(asyncio.create_task(_listen(process.stdout if is_up else process.stderr, said)))
        yield Running(process, ready, said)
    finally:
        await end(process)
        await asyncio.gather(*listening)


async def start(*arguments: str, settings: Mapping[str, str], open_files: int | None = None) -> Process:
    """Start ``forebay …`` with these settings, and none of those that the tests were started with."""
    limited = () if open_files is None else ("sh", "-c", f'ulimit -n {open_files}; exec "$@"', "sh")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FOREBAY_")}
    return await asyncio.create_subprocess_exec(
        *(*limited, sys.executable, "-m", "forebay", *arguments),
        env={**inherited, **settings},
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        limit=2**20,
    )


async def end(process: Process) -> None:
    """Kill a process if it still runs."""
    if process.returncode is None:
        process.kill()
    await process.wait()


def up(config: Path, folder: Path) -> tuple[str, ...]:
    """Give the ``forebay up`` of a test: on a free port, its data below ``folder``."""
    return ("up", "--json", "--port", "0", "--config", str(config), "--data-dir", str(folder / "data"))


def write_config(folder: Path, provider_url: str, **parameters: object) -> Path:
    """Write a configuration with one model, ``sim``, at the provider; ``parameters`` join its litellm_params."""
    file = folder / "config.yaml"
    document = {
        "model_list": [
            {
                "model_name": "sim",
                "litellm_params": {
                    "model": "openai/sim-1",
                    "api_base": provider_url,
                    "api_key": "sk-sim",
                    "input_cost_per_token": 0.000001,
                    "output_cost_per_token": 0.000002,
                    **parameters,
                },
            }
        ],
        "forebay": {"worker": {"concurrency": 16}},
    }
    file.write_text(yaml.safe_dump(document))
    return file


def chat_line(text: str, **members: object) -> bytes:
    """Give one NDJSON line that asks ``sim``."""
    job = {"request": {"model": "sim", "messages": [{"role": "user", "content": text}]}, **members}
    return json.dumps(job).encode() + b"\n"


async def _json_line(stream: asyncio.StreamReader) -> dict[str, Any]:
    text = b""
    while line := await stream.readline():
        text += line
        try:
            document: dict[str, Any] = json.loads(text)
        except json.JSONDecodeError:
            continue
        return document
    raise AssertionError(f"the process ended before it was ready: {text.decode()}")


async def _log_line(stream: asyncio.StreamReader, event: str) -> dict[str, Any]:
    seen: list[str] = []
    while line := await stream.readline():
        seen.append(line.decode())
        if line.startswith(b"{") and (document := json.loads(line))["event"] == event:
            found: dict[str, Any] = document
            return found
    raise AssertionError("the process ended before it was ready: " + "".join(seen))


async def _listen(stream: asyncio.StreamReader, said: bytearray) -> None:
    while chunk := await stream.read(65_536):
        said += chunk
