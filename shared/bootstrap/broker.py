"""The queues, on RabbitMQ or on streams, and the door beside them."""

from collections.abc import Sequence

from redis.asyncio import Redis

from shared.bootstrap.servers import Servers
from shared.domain.clock import Clock
from shared.domain.door import Door
from shared.domain.errors import ConfigurationError
from shared.domain.events import Emit
from shared.domain.lanes import DeferrableWindow
from shared.domain.work_queue import WorkQueue


def work_queue(
    servers: Servers, client: object, clock: Clock, emit: Emit, windows: Sequence[DeferrableWindow]
) -> WorkQueue:
    """Give the queues where the servers say. Raises ``ConfigurationError`` for a URL that cannot be used."""
    if servers.amqp_url is not None:
        return rabbitmq(servers.amqp_url, clock, emit, windows)
    from shared.adapters.streams.work_queue import StreamsWorkQueue  # noqa: PLC0415 - the twin is lazy as well

    if not isinstance(client, Redis):
        raise ConfigurationError(
            "FOREBAY_AMQP_URL", None, "a RabbitMQ URL: queues in a Redis Cluster are not supported"
        )
    return StreamsWorkQueue(client, clock, emit, windows)


def door_of(servers: Servers, queue: WorkQueue, clock: Clock, emit: Emit) -> Door | None:
    """Give the door of the broker whose queues these are; None: they are streams."""
    if servers.amqp_url is None:
        return None
    from shared.adapters.rabbitmq.door import RabbitMQDoor  # noqa: PLC0415 - as its queue
    from shared.adapters.rabbitmq.work_queue import RabbitMQWorkQueue  # noqa: PLC0415

    assert isinstance(queue, RabbitMQWorkQueue)
    return RabbitMQDoor(servers.amqp_url, queue.publishing, clock, emit)


def rabbitmq(url: str, clock: Clock, emit: Emit, windows: Sequence[DeferrableWindow]) -> WorkQueue:
    """Give the queues on RabbitMQ. Raises ``ConfigurationError`` for another URL."""
    from shared.adapters.rabbitmq.work_queue import RabbitMQWorkQueue  # noqa: PLC0415 - 0.3 s that streams save

    scheme, separator, _ = url.partition("://")
    if scheme not in {"amqp", "amqps"} or not separator:
        # The URL itself may hold a password.
        found = f"{scheme}://…" if separator else "…, without a scheme"
        raise ConfigurationError("FOREBAY_AMQP_URL", found, "an amqp:// or amqps:// URL")
    return RabbitMQWorkQueue(url, clock, emit, windows)
