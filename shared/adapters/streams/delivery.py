"""One entry in this process's hands."""

from collections.abc import Callable
from dataclasses import dataclass

from shared.adapters.streams.message_format import REDELIVERED, RawEntry, fields_of, message_in
from shared.adapters.streams.names import returned_stream
from shared.adapters.streams.settlement import EntryRef, Settlement
from shared.domain.lanes import QueueName
from shared.domain.work_queue import Message


@dataclass(frozen=True, slots=True)
class StreamsDelivery:
    """A message taken from a stream, until one of its verbs settles it."""

    message: Message
    queue: QueueName
    redelivered: bool
    entry: EntryRef
    settlement: Settlement
    on_settled: Callable[[EntryRef], None]

    async def ack(self) -> None:
        """Forget the message; nothing happens if it was taken away meanwhile."""
        self.on_settled(self.entry)
        await self.settlement.acknowledge(self.entry)

    async def give_back(self) -> None:
        """Let the next consumer have it, before those that nobody had yet."""
        self.on_settled(self.entry)
        await self.settlement.give_back([self.entry], returned_stream(self.queue))


def delivery_of(
    raw: RawEntry, stream: str, queue: QueueName, settlement: Settlement, on_settled: Callable[[EntryRef], None]
) -> StreamsDelivery:
    """Make a delivery of what the server gave."""
    fields = fields_of(raw)
    return StreamsDelivery(
        message=message_in(fields),
        queue=queue,
        redelivered=REDELIVERED in fields,
        entry=EntryRef(stream, raw[0]),
        settlement=settlement,
        on_settled=on_settled,
    )
