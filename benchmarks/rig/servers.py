"""Installations for benchmarks: with servers and folders of their own, removed at the end."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.e2e.configs import Section, write
from tests.e2e.installations import Cluster, Installation, cluster, everything_in_one
from tests.servers.rabbitmq import own_rabbitmq


@asynccontextmanager
async def on_rabbitmq(
    *models: Section, workers: int, router: Section | None = None, **ours: object
) -> AsyncIterator[Cluster]:
    """Run an API and workers on a RabbitMQ and a Valkey; ``ours``: members of the section ``forebay``."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rabbitmq = await asyncio.to_thread(stack.enter_context, own_rabbitmq())
        config = write(folder, *models, router=router, **ours)
        yield await stack.enter_async_context(cluster(folder, config, rabbitmq.url, workers))


@asynccontextmanager
async def embedded(*models: Section, router: Section | None = None, **ours: object) -> AsyncIterator[Installation]:
    """Run ``forebay up`` on the embedded stack."""
    with tempfile.TemporaryDirectory() as folder:
        config = write(Path(folder), *models, router=router, **ours)
        async with everything_in_one(Path(folder), config) as installation:
            yield installation
