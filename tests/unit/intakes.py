"""An intake without a broker: what a test delivers is fetched at once, as long as its class is consumed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from shared.adapters.intake_buffer import IntakeBuffer
from shared.domain.clock import Clock
from shared.domain.lanes import DEFAULT_WEIGHTS, DEFERRABLE_WINDOWS, DeferrableWindow, JobClass, QueueName, classes_with
from shared.domain.turns import Turns
from shared.domain.work_queue import Allowed, Delivery, Message, any_class


@dataclass
class Delivered:
    """A delivery that notes what becomes of it."""

    message: Message
    queue: QueueName
    returned: list[str]
    redelivered: bool = False

    async def ack(self) -> None:
        """Nothing to note."""

    async def give_back(self) -> None:
        self.returned.append(self.message.job_id)


class NotedIntake:
    """``paused``: the classes that are not consumed. ``returned``: the jobs given back, in order."""

    def __init__(self, clock: Clock, windows: tuple[DeferrableWindow, ...] = DEFERRABLE_WINDOWS) -> None:
        self.classes = classes_with(windows)
        self.paused: set[JobClass] = set()
        self.returned: list[str] = []
        self._buffer: IntakeBuffer[Delivered] = IntakeBuffer(self.classes, Turns(DEFAULT_WEIGHTS), clock)

    def deliver(self, job_id: str, job_class: JobClass) -> None:
        """Let a message be fetched."""
        assert job_class not in self.paused
        self._buffer.put(job_class, Delivered(Message(b"", job_id), QueueName("lane", job_class), self.returned))

    async def take(self, allowed: Allowed = any_class) -> Delivery:
        return await self._buffer.take(allowed)

    def reconsider(self) -> None:
        self._buffer.reconsider()

    def kept_waiting(self) -> Mapping[JobClass, float]:
        return self._buffer.kept_waiting()

    async def pause(self, classes: Collection[JobClass] | None = None) -> None:
        self.paused |= set(self.classes if classes is None else classes)
        for delivery in self._buffer.drain(self.paused):
            await delivery.give_back()

    async def resume(self, classes: Collection[JobClass] | None = None) -> None:
        self.paused -= set(self.classes if classes is None else classes)

    async def close(self) -> None:
        await self.pause()
