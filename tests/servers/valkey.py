"""How the tests get a real Valkey.

``valkey_url``: a server that all tests of the session share, its database emptied before each test.
It is the one named by ``FOREBAY_TEST_REDIS_URL`` (the database of that URL loses what is in it), else
an embedded Valkey. Emptying keeps tests apart as long as each ends what it started.

``private_valkey``: an embedded Valkey of the test's own, to be killed, frozen and started again.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis

from shared.adapters.embedded.valkey import EmbeddedValkey


class PrivateValkey:
    """A running Valkey that syncs each write; its URL stays the same over all starts."""

    def __init__(self, embedded: EmbeddedValkey) -> None:
        self._embedded = embedded
        self.url = ""

    @property
    def pid(self) -> int:
        assert self._embedded.pid is not None, "it is not running"
        return self._embedded.pid

    async def start(self) -> None:
        """Start it on the data it has."""
        self.url = await self._embedded.start()

    async def stop(self) -> None:
        """Stop it in good order."""
        await self._embedded.stop()

    async def kill(self) -> None:
        """End it as ``kill -9`` does; ``start`` brings it back."""
        os.kill(self.pid, signal.SIGKILL)
        await self._embedded.stop()

    def freeze(self) -> None:
        """Let it keep its connections and answer nobody."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)


@pytest.fixture(scope="session")
def shared_valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server that all tests share; use ``valkey_url`` instead."""
    if external := os.environ.get("FOREBAY_TEST_REDIS_URL"):
        yield external
        return
    embedded = EmbeddedValkey(tmp_path_factory.mktemp("shared"), durable=False)
    url = asyncio.run(embedded.start())
    yield url
    asyncio.run(embedded.stop())


@pytest.fixture
def valkey_url(shared_valkey_url: str) -> str:
    """An empty database, for this test alone."""
    with redis.Redis.from_url(shared_valkey_url) as client:
        client.flushdb()
    return shared_valkey_url


@pytest.fixture
async def private_valkey(tmp_path: Path) -> AsyncIterator[PrivateValkey]:
    """A running Valkey of the test's own."""
    valkey = PrivateValkey(EmbeddedValkey(tmp_path / "private"))
    await valkey.start()
    yield valkey
    await valkey.stop()
