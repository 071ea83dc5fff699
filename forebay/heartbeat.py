"""A file that says that a process is alive: container health checks look at its age."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from shared.domain.clock import Clock

BEAT_EVERY_S: Final = 2.0


@asynccontextmanager
async def beat(file: Path | None, clock: Clock) -> AsyncIterator[None]:
    """Touch ``file`` for as long as the event loop turns; None: nobody looks."""
    if file is None:
        yield
        return
    beating = asyncio.create_task(_beat(file, clock))
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.to_thread(file.unlink, missing_ok=True)


async def _beat(file: Path, clock: Clock) -> None:
    while True:
        await asyncio.to_thread(file.touch)
        await clock.sleep(BEAT_EVERY_S)
