"""Fixtures of the chaos suite: whole installations that something goes wrong in."""

import uuid
from collections.abc import AsyncIterator, Callable

import pytest

from tests.contracts.transports import RabbitMQTransport


@pytest.fixture
async def new_lane(rabbitmq_url: str) -> AsyncIterator[Callable[[], str]]:
    """Gives models of this test alone; what they leave on the RabbitMQ that the tests share is removed."""
    made: list[str] = []

    def make() -> str:
        made.append(f"sim-{uuid.uuid4().hex[:8]}")
        return made[-1]

    yield make
    for lane in made:
        await RabbitMQTransport(rabbitmq_url).clean_up(lane)


@pytest.fixture
def lane(new_lane: Callable[[], str]) -> str:
    """A model of this test alone."""
    return new_lane()
