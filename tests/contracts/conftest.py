"""The work-queue contract runs once on each transport."""

import uuid
from collections.abc import AsyncIterator

import pytest

from shared.domain.work_queue import WorkQueue
from tests.contracts.transports import (
    RabbitMQTransport,
    Restartable,
    RestartableRabbitMQBroker,
    RestartableValkeyBroker,
    StreamsTransport,
    Transport,
)
from tests.servers.proxy import Proxy, proxy_to


@pytest.fixture(params=["rabbitmq", "streams"])
def transport(request: pytest.FixtureRequest) -> Transport:
    if request.param == "rabbitmq":
        return RabbitMQTransport(request.getfixturevalue("rabbitmq_url"))
    return StreamsTransport(request.getfixturevalue("valkey_url"))


@pytest.fixture
def lane() -> str:
    """A lane of this test alone, named as models are."""
    return f"openai/test-{uuid.uuid4().hex[:12]}:v1.5"


@pytest.fixture
async def queue(transport: Transport, lane: str) -> AsyncIterator[WorkQueue]:
    """An open work queue; the lane is declared."""
    async with transport.connected() as queue:
        await queue.declare([lane])
        yield queue
    await transport.clean_up(lane)


@pytest.fixture
async def another(transport: Transport, queue: WorkQueue) -> AsyncIterator[WorkQueue]:
    """A second work queue with connections of its own, as another process would have."""
    async with transport.connected() as another:
        yield another


@pytest.fixture
async def line(transport: Transport) -> AsyncIterator[Proxy]:
    """A line to the server that can be cut."""
    async with proxy_to(transport.dial) as proxy:
        yield proxy


@pytest.fixture
async def distant(transport: Transport, queue: WorkQueue, line: Proxy) -> AsyncIterator[WorkQueue]:
    """A second work queue, behind the line."""
    async with transport.connected(line.port) as distant:
        yield distant


@pytest.fixture(params=["rabbitmq", "streams"])
def restartable(request: pytest.FixtureRequest) -> Restartable:
    """A running server of our own, which the test may kill if it starts it again."""
    if request.param == "rabbitmq":
        return RestartableRabbitMQBroker(request.getfixturevalue("restartable_rabbitmq"))
    return RestartableValkeyBroker(request.getfixturevalue("private_valkey"))
