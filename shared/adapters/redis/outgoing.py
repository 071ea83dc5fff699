"""What a process publishes, all in one row: what comes while a round trip is on its way goes with the next one."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

from shared.adapters.redis.round_trips import RoundTrips
from shared.domain.clock import Clock
from shared.domain.enduring_task import EnduringTask
from shared.domain.errors import StoreUnavailable
from shared.domain.events import Emit

MOST_AT_ONCE: Final = 256
"""Messages in one round trip."""

FLUSH_DEADLINE_S: Final = 2.0
"""Seconds for what is left at the end."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message and where to publish it."""

    channel: str
    message: bytes


class Speaker(Protocol):
    """Somebody who has something to say."""

    def speak(self) -> Outgoing | None:
        """Give all there is to be said now, as one message."""
        ...

    def was_sent(self, receivers: int) -> None:
        """Hear that it was published, and to how many."""
        ...

    def was_lost(self) -> None:
        """Hear that the store could not be reached, so that nobody knows whether it was published."""
        ...


class Publisher:
    """Lets speakers speak in the order in which they asked, one after the other's confirmation."""

    def __init__(self, trips: RoundTrips, clock: Clock, emit: Emit) -> None:
        """Publish by ``trips``."""
        self._trips = trips
        self._waiting: dict[Speaker, None] = {}
        self._is_wanted = asyncio.Event()
        self._is_done = asyncio.Event()
        self._is_done.set()
        self._task = EnduringTask("answer publisher", self._run, clock, emit)

    def start(self) -> None:
        """Begin, on the running event loop; without effect if it has begun."""
        self._task.start()

    async def close(self) -> None:
        """Publish what waits, if the store is there, and end."""
        if self._task.is_started:
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_DEADLINE_S):
                    await self._is_done.wait()
        await self._task.stop()

    def let_speak(self, speaker: Speaker) -> None:
        """Let somebody speak as soon as may be; asked again before that, it is still once."""
        self._waiting[speaker] = None
        self._is_done.clear()
        self._is_wanted.set()

    async def _run(self) -> None:
        while True:
            while self._waiting:
                speakers = list(islice(self._waiting, MOST_AT_ONCE))
                for speaker in speakers:
                    del self._waiting[speaker]
                await self._publish(speakers)
            self._is_done.set()
            self._is_wanted.clear()
            await self._is_wanted.wait()

    async def _publish(self, speakers: Sequence[Speaker]) -> None:
        spoken = [(speaker, said) for speaker in speakers if (said := speaker.speak()) is not None]
        if not spoken:
            return
        try:
            receivers = await self._trips.send_all([("PUBLISH", said.channel, said.message) for _, said in spoken])
        except StoreUnavailable:
            for speaker, _ in spoken:
                speaker.was_lost()
        else:
            for (speaker, _), count in zip(spoken, receivers, strict=True):
                speaker.was_sent(count)
