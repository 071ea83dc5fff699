"""Batches of the streams: a fault of ours must not stop them for ever."""

from collections.abc import Sequence

import pytest

from shared.adapters.streams.batching import Batcher
from shared.domain.errors import BrokerUnavailable
from shared.domain.events import BackgroundTaskDied, Event
from tests.clock import ManualClock


class Sender:
    """Answers with what it got, after some failures."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)

    async def send(self, _number: int, items: Sequence[str]) -> Sequence[str]:
        if self._failures:
            raise self._failures.pop(0)
        return items


async def test_a_fault_while_sending_is_announced_and_the_next_batch_is_sent() -> None:
    events = list[Event]()
    batcher = Batcher[str, str](Sender(ZeroDivisionError()).send, len, ManualClock(), events.append)
    batcher.open()
    first = batcher.submit("first")
    with pytest.raises(BrokerUnavailable):
        await first
    assert await batcher.submit("second") == "second"
    await batcher.close()
    assert events == [BackgroundTaskDied("batches", "ZeroDivisionError")]
