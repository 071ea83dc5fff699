"""Fetches a lane's entries, as many as there is room for, and waits over all its classes at once."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from shared.adapters.streams.connection import Argument, StreamsServer
from shared.adapters.streams.message_format import RawEntry
from shared.adapters.streams.names import GROUP, queue_stream, returned_stream
from shared.adapters.streams.scripts import script_text
from shared.adapters.streams.settlement import EntryRef
from shared.domain.clock import Clock
from shared.domain.errors import BrokerUnavailable
from shared.domain.lanes import QueueName

_BLOCK_S: Final = 1.0
_REPLY_DEADLINE_S: Final = _BLOCK_S + 2.0
_UNBLOCK_PAUSE_S: Final = 0.01
_PAUSE_S: Final = 0.1
_MOST_PENDING: Final = 10_000


class Receiver(Protocol):
    """Who gets the entries."""

    def room(self) -> Mapping[QueueName, int]:
        """Give the queues to read now, and for how many entries of each there is room (at least 1)."""
        ...

    def receive(self, stream: str, queue: QueueName, entry: RawEntry) -> None:
        """Take an entry over."""
        ...

    def holds(self, entry: EntryRef) -> bool:
        """Whether the entry is in this process's hands."""
        ...

    async def prepare(self) -> None:
        """Do what must be done before reading, again after each loss. Raises ``BrokerUnavailable``."""
        ...

    async def return_lost(self, queue: QueueName, entries: Sequence[EntryRef]) -> None:
        """Give back entries that the server counts as delivered, though they never arrived."""
        ...


class LaneReader:
    """Reads on a connection of its own, which no cancelled call can ever leave half-read.

    A waiting read is never cancelled. It ends when something arrives, after a second, or when
    another connection asks the server to unblock it.
    """

    def __init__(self, server: StreamsServer, consumer: str, queues: Sequence[QueueName], clock: Clock) -> None:
        """Read ``queues``. ``consumer``: the name nobody else reads under."""
        self._server = server
        self._consumer = consumer
        self._fetch_script = script_text("fetch")
        self._clock = clock
        # What was returned is older than what waits, so its streams come first.
        self._streams = {returned_stream(queue): queue for queue in queues} | {
            queue_stream(queue): queue for queue in queues
        }
        self._ask_again = asyncio.Event()
        self._stopping = False

    def look_again(self) -> None:
        """End the waiting read, as there is room for a queue it does not read."""
        self._ask_again.set()

    def stop(self) -> None:
        """Let ``run`` return, soon and with nothing left on its way."""
        self._stopping = True
        self._ask_again.set()

    async def run(self, receiver: Receiver) -> None:
        """Hand over what arrives until ``stop``, over every loss of the server."""
        while not self._stopping:
            connection = self._server.new_connection()
            try:
                await receiver.prepare()
                async with asyncio.timeout(_REPLY_DEADLINE_S):
                    await connection.connect()  # type: ignore[no-untyped-call]  # redis-py's gap
                await self._return_what_was_lost(connection, receiver)
                await self._read(connection, receiver)
            except BrokerUnavailable:
                await self._clock.sleep(_PAUSE_S)
            except (RedisError, OSError) as error:
                self._server.lost(error)
                await self._clock.sleep(_PAUSE_S)
            finally:
                with contextlib.suppress(RedisError, OSError):  # a close that takes too long must not end the reading
                    await connection.disconnect()

    async def _read(self, connection: AbstractConnection, receiver: Receiver) -> None:
        session = int(await _ask(connection, "CLIENT", "ID"))
        while not self._stopping:
            self._ask_again.clear()
            room = receiver.room()
            if not room:
                await self._ask_again.wait()
            elif not self._hand_over(await self._fetch(connection, room), receiver):
                self._hand_over(await self._wait_for_arrivals(connection, session, room), receiver)
            self._server.found()

    def _hand_over(self, fetched: Sequence[tuple[bytes, Sequence[RawEntry]]], receiver: Receiver) -> bool:
        for stream, entries in fetched:
            name = stream.decode()
            for entry in entries:
                receiver.receive(name, self._streams[name], entry)
        return bool(fetched)

    async def _fetch(self, connection: AbstractConnection, room: Mapping[QueueName, int]) -> Any:  # noqa: ANN401 - as the server answers
        args: list[Argument] = [GROUP, self._consumer]
        for queue, free in room.items():
            args += [free, returned_stream(queue), queue_stream(queue)]
        words = await _ask(connection, "EVAL", self._fetch_script, 0, *args)
        return list(zip(words[::2], words[1::2], strict=True))

    async def _wait_for_arrivals(
        self, connection: AbstractConnection, session: int, queues: Iterable[QueueName]
    ) -> Any:  # noqa: ANN401 - as the server answers
        """Block until one entry arrives; the next fetch brings the others."""
        wanted = set(queues)
        streams = [stream for stream, queue in self._streams.items() if queue in wanted]
        options: tuple[Argument, ...] = ("COUNT", 1, "BLOCK", round(_BLOCK_S * 1_000))
        command = ("XREADGROUP", "GROUP", GROUP, self._consumer, *options, "STREAMS", *streams, *[">"] * len(streams))
        reading = asyncio.create_task(_ask(connection, *command))
        asking = asyncio.create_task(self._ask_again.wait())
        await asyncio.wait((reading, asking), return_when=asyncio.FIRST_COMPLETED)
        while not reading.done():
            with contextlib.suppress(BrokerUnavailable):
                await self._server.call("CLIENT", "UNBLOCK", session, "TIMEOUT")
            await asyncio.wait((reading,), timeout=_UNBLOCK_PAUSE_S)
        asking.cancel()
        return reading.result() or ()

    async def _return_what_was_lost(self, connection: AbstractConnection, receiver: Receiver) -> None:
        """Find the entries whose reply was lost with a connection: nobody would ever settle them."""
        for stream, queue in self._streams.items():
            pending = await _ask(connection, "XPENDING", stream, GROUP, "-", "+", _MOST_PENDING, self._consumer)
            refs = [EntryRef(stream, held[0]) for held in pending]
            if lost := [ref for ref in refs if not receiver.holds(ref)]:
                await receiver.return_lost(queue, lost)


async def _ask(connection: AbstractConnection, *command: Argument) -> Any:  # noqa: ANN401 - each command's own
    # ``read_response`` has a timeout too: when that is over, it gives None and leaves the reply to the next one.
    async with asyncio.timeout(_REPLY_DEADLINE_S):
        await connection.send_command(*command)
        return await connection.read_response(disable_decoding=True)
