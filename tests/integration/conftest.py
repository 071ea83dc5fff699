"""Fixtures of the integration suite."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.api_rig import Api, running_api


@pytest.fixture
async def api(valkey_url: str) -> AsyncIterator[Api]:
    async with running_api(valkey_url) as api:
        yield api
