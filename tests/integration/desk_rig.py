"""A client that speaks AMQP alone, the API that it submits to, and the courier that answers it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import aio_pika
import orjson
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from shared.adapters.rabbitmq.consumer_channel import RabbitMQDelivery
from shared.adapters.rabbitmq.door import RabbitMQDoor
from shared.adapters.rabbitmq.names import SUBMIT
from shared.adapters.rabbitmq.parcel import RabbitMQParcel
from shared.adapters.rabbitmq.work_queue import RabbitMQWorkQueue
from shared.domain.clock import SystemClock
from shared.domain.door import Parcel
from shared.domain.events import Event
from shared.domain.job_store import JobStore
from shared.domain.lanes import Mailbox
from shared.domain.notices import Announcer
from shared.domain.work_queue import DeadLetter
from tests.eventually import eventually
from tests.integration.api_rig import KEY, SUBMISSION, TEAM, Api, running_api
from workers.couriers.courier import Courier
from workers.couriers.reply_courier import ReplyCourier
from workers.couriers.whole_job_reader import WholeJobReader

_AGES_S = 20.0


class WatchedParcel(RabbitMQParcel):
    """Says when it is acknowledged."""

    def __init__(self, delivery: RabbitMQDelivery, door: "WatchedDoor") -> None:
        super().__init__(delivery)
        self._door = door

    async def ack(self) -> None:
        await super().ack()
        self._door.acknowledged += 1


class WatchedDoor(RabbitMQDoor):
    """The real door; counts what was acknowledged."""

    acknowledged = 0

    async def take(self) -> Parcel:
        return WatchedParcel(await self._next(), self)


@dataclass
class Received:
    """A message that the client got."""

    message: AbstractIncomingMessage

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever JSON was answered
        return orjson.loads(self.message.body)

    @property
    def error(self) -> Any:  # noqa: ANN401 - as above
        """The error; fails if it is none, or has anything beside it."""
        assert self.message.type == "error"
        assert self.json.keys() == {"error"}
        return self.json["error"]


@dataclass
class Desk:
    """The running parts. ``replies``: a queue of the client's own."""

    api: Api
    door: WatchedDoor
    channel: AbstractChannel
    replies: AbstractQueue
    events: list[Event] = field(default_factory=list)
    submitted: int = 0

    async def submit(
        self,
        body: object = MappingProxyType(SUBMISSION),
        *,
        key: str | None = KEY,
        headers: Mapping[str, Any] = MappingProxyType({}),
        reply_to: str | None = "",
        **properties: Any,  # noqa: ANN401 - each property has its type
    ) -> None:
        """Send a submission; ``reply_to`` "": the client's queue."""
        sent = {**({} if key is None else {"authorization": f"Bearer {key}"}), **headers}
        message = aio_pika.Message(
            body if isinstance(body, bytes) else orjson.dumps(body, default=dict),
            headers=sent,
            reply_to=self.replies.name if reply_to == "" else reply_to,
            **properties,
        )
        exchange = await self.channel.get_exchange(SUBMIT, ensure=False)
        await exchange.publish(message, "any key")
        self.submitted += 1

    async def reply(self) -> Received:
        """Wait for the client's next message."""

        async def got() -> AbstractIncomingMessage | None:
            return await self.replies.get(no_ack=True, fail=False)

        message = await eventually(got, _AGES_S)
        assert message is not None
        return Received(message)

    async def nothing_waits(self, submitted: int | None = None) -> None:
        """Wait until everything that was submitted is acknowledged; then see that the client has no message."""

        async def is_idle() -> bool:
            return self.door.acknowledged == (self.submitted if submitted is None else submitted)

        await eventually(is_idle, _AGES_S)
        assert await self.replies.get(no_ack=True, fail=False) is None

    async def job(self) -> dict[str, Any]:
        """Wait for the first job that was made of what was submitted; fail if there are more."""

        async def look() -> list[dict[str, Any]]:
            listed: list[dict[str, Any]] = (await self.api.get("/v1/jobs")).json["data"]
            return listed

        [job] = await eventually(look, _AGES_S)
        return job

    async def finish(self, job_id: str, store: JobStore | None = None) -> None:
        """Do what a worker does: end the job, and tell of it."""
        await self.api.finish(job_id, store=store)
        await Announcer(self.api.queue, self.api.parts.outbox).tell_what_is_left(TEAM, [job_id])

    async def jobs(self) -> int:
        """Count the team's jobs."""
        return len((await self.api.get("/v1/jobs")).json["data"])

    async def dead_letter(self) -> DeadLetter:
        """Wait for the first dead letter; fail if there are more."""
        [letter] = await eventually(lambda: self.api.queue.dead_letters(10), _AGES_S)
        return letter

    @asynccontextmanager
    async def courier(self) -> AsyncIterator[ReplyCourier]:
        """Have replies carried until the block ends."""
        carrier = self.carrier()
        stop = asyncio.Event()
        courier = Courier(self.api.queue, {Mailbox.REPLIES: carrier.handle}, SystemClock(), self.events.append)
        running = asyncio.create_task(courier.run(stop))
        try:
            yield carrier
        finally:
            stop.set()
            await running

    def carrier(self, whole: JobStore | None = None) -> ReplyCourier:
        """Who carries one notice. ``whole``: reads the responses that lie in files."""
        clock, store = SystemClock(), self.api.store
        jobs = WholeJobReader(store, whole or store, clock)
        return ReplyCourier(jobs, store, self.api.queue, self.door, clock, self.events.append)


@asynccontextmanager
async def open_door(amqp_url: str, kind: type[WatchedDoor] = WatchedDoor) -> AsyncIterator[WatchedDoor]:
    """Lend a door; nobody listens behind it yet."""
    publishing = RabbitMQWorkQueue(amqp_url, SystemClock(), lambda _: None)
    await publishing.open()
    await publishing.declare(())
    door = kind(amqp_url, publishing.publishing, SystemClock(), lambda _: None)
    try:
        yield door
    finally:
        await door.leave()
        await publishing.close()


@asynccontextmanager
async def open_desk(
    amqp_url: str,
    redis_url: str,
    door: type[WatchedDoor] = WatchedDoor,
    **changes: Any,  # noqa: ANN401 - each part has its type
) -> AsyncIterator[Desk]:
    """Run the API with a door; ``changes`` replace others of its parts. Work queues and mailboxes are streams."""
    async with (
        open_door(amqp_url, door) as opened,
        running_api(redis_url, door=opened, **changes) as api,
        await aio_pika.connect(amqp_url) as connection,
    ):
        channel = await connection.channel(on_return_raises=True)
        replies = await channel.declare_queue(f"forebay.reply.{uuid.uuid4().hex}", exclusive=True)
        yield Desk(api, opened, channel, replies)
