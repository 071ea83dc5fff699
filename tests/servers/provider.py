"""The simulated provider for tests: a process of its own on a free port.

``async with simulated_provider(rpm=60, latency_s=(0.1, 0.2)) as provider:`` takes the fields of
``forebay.simulated_provider.Options``, as JSON has them.
"""

import asyncio
import hashlib
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.eventually import eventually

CHAT: Final = "/v1/chat/completions"

_ROOT = Path(__file__).parents[2]
_START_DEADLINE_S = 60.0
_STOP_DEADLINE_S = 10.0


@dataclass(frozen=True)
class Arrival:
    """A call that came to the provider, whatever came of it.

    at: seconds of this machine's monotonic clock, which is also a test's ``loop.time()``.
    """

    at: float
    model: str
    content: str

    def asks(self, text: str) -> bool:
        """Tell whether its last user message was this text."""
        return self.content == hashlib.sha256(text.encode()).hexdigest()


class SimulatedProvider:
    """A running provider and its controls. ``url`` is what a client calls its base URL (``…/v1``)."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session
        self._control = url.removesuffix("/v1") + "/_simulator"

    async def stats(self, *, contents: bool = False) -> dict[str, Any]:
        """All counts: ``total``, ``accounts`` (a list), and with ``contents`` those of each content."""
        async with self._session.get(f"{self._control}/stats{'?contents=1' if contents else ''}") as response:
            report: dict[str, Any] = await response.json()
            return report

    async def total(self) -> dict[str, int]:
        """The counts of all keys and models together."""
        total: dict[str, int] = (await self.stats())["total"]
        return total

    async def account(self, key: str, model: str) -> dict[str, Any]:
        """The counts of one key and model, which must have called."""
        name = hashlib.sha256(key.encode()).hexdigest()[:12]
        accounts = (await self.stats())["accounts"]
        return next(account for account in accounts if (account["key"], account["model"]) == (name, model))

    async def arrivals(self) -> list[Arrival]:
        """Every call that came, oldest first."""
        async with self._session.get(f"{self._control}/stats?arrivals=1") as response:
            return [Arrival(*arrival) for arrival in (await response.json())["arrivals"]]

    async def calls_of(self, text: str) -> dict[str, int]:
        """How often a content was ``begun`` and ``answered``. A content is the last user message, or an input."""
        contents = (await self.stats(contents=True))["contents"]
        nothing = {"begun": 0, "answered": 0}
        counts: dict[str, int] = contents.get(hashlib.sha256(text.encode()).hexdigest(), nothing)
        return counts

    async def wait_for(self, deadline_s: float = 30.0, **at_least: int) -> dict[str, int]:
        """Wait until each named count of the total is at least that; give the total. ``wait_for(in_flight=3)``."""
        return await self._wait_until(lambda total: all(total[name] >= at_least[name] for name in at_least), deadline_s)

    async def wait_until_idle(self, deadline_s: float = 30.0) -> dict[str, int]:
        """Wait until nothing is in flight; give the total."""
        return await self._wait_until(lambda total: not total["in_flight"], deadline_s)

    async def faults(self, kind: str, **rule: object) -> None:
        """Put a fault in: ``faults("status", status=503, count=2)``, ``faults("hang", contains="slow")``."""
        await self._post("faults", {"kind": kind, **rule})

    async def clear_faults(self) -> None:
        """Take every fault away."""
        async with self._session.delete(f"{self._control}/faults") as response:
            response.raise_for_status()

    async def limits(self, **changes: object) -> None:
        """Change ``rpm``, ``tpm``, ``max_parallel``, ``burst_s``, of one ``model`` or of all."""
        await self._post("limits", changes)

    async def release(self) -> None:
        """Answer the calls that hang now."""
        await self._post("release", {})

    async def reset(self) -> None:
        """As freshly started: every count at nothing, full buckets, the limits of the start, no fault rules."""
        await self._post("reset", {})

    async def _wait_until(self, holds: Callable[[dict[str, int]], bool], deadline_s: float) -> dict[str, int]:
        async def look() -> dict[str, int]:
            total = await self.total()
            return total if holds(total) else {}

        return await eventually(look, deadline_s)

    async def _post(self, path: str, body: Mapping[str, object]) -> None:
        async with self._session.post(f"{self._control}/{path}", json=body) as response:
            assert response.status == 200, await response.text()


@asynccontextmanager
async def simulated_provider(**options: object) -> AsyncIterator[SimulatedProvider]:
    """Start a provider, and end it afterwards."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "forebay.simulated_provider",
        json.dumps(options),
        cwd=_ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(_START_DEADLINE_S):
            url = (await process.stdout.readline()).decode().strip()
        assert url, "the simulated provider did not start; its error stands above"
        async with aiohttp.ClientSession(raise_for_status=False) as session:
            yield SimulatedProvider(url, session)
    finally:
        await _stop(process)


def question(text: str = "Hello?", **more: object) -> dict[str, Any]:
    """Give a chat request."""
    return {"model": "chat", "messages": [{"role": "user", "content": text}], **more}


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_DEADLINE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
