"""A clock that stands still until it is moved."""

from dataclasses import dataclass


@dataclass
class ManualClock:
    seconds: float = 1_700_000_000.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
