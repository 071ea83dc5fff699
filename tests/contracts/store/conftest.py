"""A clean store for each test: on a single server, and again on a cluster.

``FOREBAY_TEST_REDIS_URL`` names a server to use instead of the private one; its database is emptied.
"""

import os
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from shared.adapters.redis.connection import Client, connect
from shared.adapters.redis.job_store import RedisJobStore
from shared.domain.job_store import JobStore
from tests.contracts.store.servers import StoreServer


@pytest.fixture(scope="session")
def private_server() -> Iterator[StoreServer]:
    server = StoreServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def private_cluster() -> Iterator[StoreServer]:
    server = StoreServer("--cluster-enabled", "yes")
    server.start()
    server.become_a_cluster()
    yield server
    server.remove()


@pytest.fixture
async def mortal_server() -> AsyncIterator[StoreServer]:
    """A server that the test may kill and freeze."""
    server = StoreServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
async def mortal_client(mortal_server: StoreServer) -> AsyncIterator[Redis]:
    client = connect(f"redis://127.0.0.1:{mortal_server.port}/0")
    assert isinstance(client, Redis)
    yield client
    await client.aclose()


@pytest.fixture(params=["server", "cluster"])
def store_url(request: pytest.FixtureRequest) -> str:
    if request.param == "cluster":
        cluster: StoreServer = request.getfixturevalue("private_cluster")
        return f"redis+cluster://127.0.0.1:{cluster.port}"
    named = os.environ.get("FOREBAY_TEST_REDIS_URL")
    if named:
        return named
    server: StoreServer = request.getfixturevalue("private_server")
    return f"redis://127.0.0.1:{server.port}/0"


@pytest.fixture
async def client(store_url: str) -> AsyncIterator[Client]:
    client = connect(store_url)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.fixture
def store(client: Client) -> JobStore:
    return RedisJobStore(client)
