"""Whole installations: all roles in one process, or an API and workers on servers of their own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from forebay.client import AsyncClient
from shared.adapters.embedded.valkey import EmbeddedValkey
from tests.e2e.processes import ADMIN_KEY, Running, forebay, up
from tests.servers.valkey import PrivateValkey


@dataclass(frozen=True)
class Installation:
    """A running one. client: the administrator's. processes: those that run jobs."""

    url: str
    client: AsyncClient
    processes: tuple[Running, ...]

    @asynccontextmanager
    async def team(self, name: str) -> AsyncIterator[AsyncClient]:
        """Lend a client of another team, with a key made for it."""
        async with (
            aiohttp.ClientSession(headers={"authorization": f"Bearer {ADMIN_KEY}"}) as session,
            session.post(f"{self.url}/v1/keys", json={"team": name, "name": f"of {name}"}) as answer,
        ):
            assert answer.status == 201, await answer.text()
            key: str = (await answer.json())["key"]
        async with AsyncClient(self.url, key) as client:
            yield client


@dataclass(frozen=True)
class Cluster(Installation):
    """An API and workers, on RabbitMQ and on a Valkey that may be killed."""

    store: PrivateValkey
    api: Running


@asynccontextmanager
async def everything_in_one(folder: Path, config: Path) -> AsyncIterator[Installation]:
    """Run ``forebay up`` until the block ends."""
    async with (
        forebay(*up(config, folder), settings={"FOREBAY_ADMIN_KEY": ADMIN_KEY}) as process,
        AsyncClient(process.ready["url"], ADMIN_KEY) as client,
    ):
        yield Installation(process.ready["url"], client, (process,))


@asynccontextmanager
async def cluster(folder: Path, config: Path, amqp_url: str, workers: int = 2) -> AsyncIterator[Cluster]:
    """Run an API and that many workers until the block ends."""
    async with AsyncExitStack() as stack:
        store = PrivateValkey(EmbeddedValkey(folder / "store"))
        await store.start()
        stack.push_async_callback(store.stop)
        settings = {"FOREBAY_REDIS_URL": store.url, "FOREBAY_AMQP_URL": amqp_url, "FOREBAY_ADMIN_KEY": ADMIN_KEY}
        roles = [("api", "--port", "0"), *[("worker",)] * workers]
        api, *rest = await asyncio.gather(
            *(stack.enter_async_context(forebay(*role, "--config", str(config), settings=settings)) for role in roles)
        )
        url: str = api.ready["name"]
        client = await stack.enter_async_context(AsyncClient(url, ADMIN_KEY))
        yield Cluster(url, client, tuple(rest), store, api)
