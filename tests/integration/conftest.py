"""Fixtures of the integration suite."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.api_rig import Api, running_api
from tests.servers.provider import SimulatedProvider, simulated_provider


@pytest.fixture
async def api(valkey_url: str) -> AsyncIterator[Api]:
    async with running_api(valkey_url) as api:
        yield api


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running_provider() -> AsyncIterator[SimulatedProvider]:
    """A provider that a whole module uses; it knows one key."""
    async with simulated_provider(api_keys=["sk-right"]) as provider:
        yield provider


@pytest_asyncio.fixture(loop_scope="module")
async def provider(running_provider: SimulatedProvider) -> SimulatedProvider:
    """The module's provider, as freshly started."""
    await running_provider.reset()
    return running_provider
