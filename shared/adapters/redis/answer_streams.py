"""Answers passed on while they are made, by publish and subscribe: nothing is kept, and nothing synced to a disk."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Final

from redis.asyncio import RedisCluster

from shared.adapters.redis.answer_messages import Credit
from shared.adapters.redis.answer_reader import PieceReader, writer_name
from shared.adapters.redis.answer_writer import PieceWriter
from shared.adapters.redis.channels import Channels
from shared.adapters.redis.connection import Client
from shared.adapters.redis.keys import answer_credits, answer_pieces
from shared.adapters.redis.outgoing import Publisher
from shared.adapters.redis.round_trips import RoundTrips
from shared.adapters.redis.stream_patience import StreamPatience
from shared.domain.answer_streams import AnswerReader, AnswerWriter
from shared.domain.clock import Clock
from shared.domain.enduring_task import EnduringTask
from shared.domain.events import Emit
from shared.domain.ids import new_id

_PATIENCE: Final = StreamPatience()


class RedisAnswerStreams:
    """Implements ``AnswerStreams`` for any number of streams, of one reader each, over one listening connection."""

    def __init__(self, client: Client, clock: Clock, emit: Emit, patience: StreamPatience = _PATIENCE) -> None:
        """``client``: as ``connection.connect`` gives it. Nothing is connected before the first stream."""
        self._clock = clock
        self._patience = patience
        self._process = new_id("process", clock.now())
        self._numbers = count()
        self._knows_receivers = not isinstance(client, RedisCluster)  # a node of a cluster counts only its own
        self._channels = Channels(client, "answer channels", clock, emit)
        self._publisher = Publisher(RoundTrips(client), clock, emit)
        self._looking = EnduringTask("answer streams", self._keep_looking, clock, emit)
        self._writers: dict[str, PieceWriter] = {}
        self._readers: set[PieceReader] = set()

    @asynccontextmanager
    async def writer(self, job_id: str) -> AsyncIterator[AnswerWriter]:
        """Begin to write, as ``AnswerStreams.writer``. To leave without ``close`` breaks the stream, if it has begun."""
        self._start()
        await self._channels.heard()  # else the first reader's credit would come to nobody
        name = writer_name(self._process, next(self._numbers))
        writer = self._writers[name] = PieceWriter(
            job_id, name, self._patience, self._publisher.let_speak, knows_receivers=self._knows_receivers
        )
        try:
            yield writer
        finally:
            del self._writers[name]
            writer.leave()

    @asynccontextmanager
    async def reader(self, job_id: str) -> AsyncIterator[AnswerReader]:
        """Begin to read, as ``AnswerStreams.reader``."""
        self._start()
        reader = PieceReader(self._patience, self._publisher.let_speak)
        await self._channels.hear(answer_pieces(job_id), reader.hear)
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)
            self._channels.leave(answer_pieces(job_id), reader.hear)
            reader.leave()

    async def close(self) -> None:
        """Say what is left to say, and disconnect."""
        await self._publisher.close()
        await self._looking.stop()
        await self._channels.close()

    def _start(self) -> None:
        if self._looking.is_started:
            return
        self._channels.hear_soon(answer_credits(self._process), self._on_credit)
        self._channels.start()
        self._publisher.start()
        self._looking.start()

    def _on_credit(self, message: bytes | None) -> None:
        if message is None:
            return
        credit = Credit.decode(message)
        writer = self._writers.get(credit.writer)
        if writer is not None:
            writer.hear(credit)

    async def _keep_looking(self) -> None:
        while True:
            await self._clock.sleep(self._patience.look_s)
            for writer in tuple(self._writers.values()):
                writer.look()
            for reader in tuple(self._readers):
                reader.look()
