"""Which consumers live: each says so every second, and is given up when it was silent for a few."""

from collections.abc import Callable
from typing import Final

from shared.adapters.streams.connection import StreamsServer
from shared.adapters.streams.names import CONSUMERS

BEAT_INTERVAL_S: Final = 1.0
"""Seconds between two signs of life."""

SILENCE_LIMIT_S: Final = 3.0
"""Seconds of silence, by the server's clock, after which a consumer counts as dead."""


class Liveness:
    """Gives the signs of life of this process's consumers."""

    def __init__(self, server: StreamsServer) -> None:
        """Give them to this server."""
        self._server = server
        self._consumers: dict[str, Callable[[], None]] = {}

    @property
    def consumers(self) -> list[str]:
        """The names of those entered."""
        return list(self._consumers)

    async def enter(self, consumer: str, on_given_up: Callable[[], None]) -> None:
        """Register a consumer; it must return before the consumer's first read.

        ``on_given_up`` is called when it turns out that the others thought it dead, so that what it
        held may be theirs. Raises ``BrokerUnavailable``.
        """
        await self._say(consumer)
        self._consumers[consumer] = on_given_up

    def leave(self, consumer: str) -> None:
        """Say nothing more of it: what it holds goes back when its time is over."""
        self._consumers.pop(consumer, None)

    async def beat(self) -> None:
        """Give a sign of life of all. Raises ``BrokerUnavailable``."""
        names = self.consumers
        if names:
            answer = await self._say(*names)
            for name, alive in zip(names, answer, strict=True):
                if alive == ord("0") and name in self._consumers:
                    self._consumers[name]()

    async def end(self) -> None:
        """Give all of them up at once. Raises ``BrokerUnavailable``."""
        names = self.consumers
        self._consumers.clear()
        if names:
            await self._server.run("beat", [CONSUMERS], [0, *names])

    async def _say(self, *names: str) -> bytes:
        answer: bytes = await self._server.run("beat", [CONSUMERS], [round(SILENCE_LIMIT_S * 1_000), *names])
        return answer
