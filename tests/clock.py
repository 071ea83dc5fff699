"""A clock that stands still until it is moved."""

from dataclasses import dataclass, field


@dataclass
class ManualClock:
    """Whoever sleeps moves it, at once. ``waits``: the seconds of each sleep."""

    seconds: float = 1_700_000_000.0
    waits: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.seconds += seconds
