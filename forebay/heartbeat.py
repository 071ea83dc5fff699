"""A file that says that a process is alive: container health checks look at its age."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from shared.domain.clock import Clock
from shared.domain.errors import ConfigurationError

BEAT_EVERY_S: Final = 2.0


@asynccontextmanager
async def beat(file: Path | None, clock: Clock) -> AsyncIterator[None]:
    """Touch ``file`` for as long as the event loop turns; None: nobody looks.

    Raises:
        ConfigurationError: it cannot be touched.
    """
    if file is None:
        yield
        return
    try:
        await asyncio.to_thread(file.touch)
    except OSError as error:
        allowed = f"a file in a folder that can be written to ({error.strerror})"
        raise ConfigurationError("FOREBAY_HEARTBEAT_FILE", str(file), allowed) from None
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
