from collections.abc import AsyncIterator, Mapping

import pytest

from shared.adapters.redis.connection import Client, connect
from shared.adapters.redis.safety import COULD_NOT_LOOK, unsafe_settings
from shared.domain.errors import StoreUnavailable
from tests.servers.valkey import PrivateValkey


@pytest.fixture
async def own_client(private_valkey: PrivateValkey) -> AsyncIterator[Client]:
    client = connect(private_valkey.url)
    yield client
    await client.aclose()


async def test_the_embedded_server_is_safe(own_client: Client) -> None:
    assert await unsafe_settings(own_client) == []


@pytest.mark.parametrize(
    ("settings", "doubts"),
    [
        ({"appendonly": "no"}, ["appendonly is no"]),
        ({"appendfsync": "everysec"}, ["appendfsync is everysec"]),
        ({"maxmemory-policy": "allkeys-lru"}, ["maxmemory-policy is allkeys-lru"]),
        (
            {"appendonly": "no", "maxmemory-policy": "volatile-ttl"},
            ["appendonly is no", "maxmemory-policy is volatile-ttl"],
        ),
    ],
)
async def test_a_setting_with_which_jobs_can_be_lost_is_named(
    own_client: Client, settings: Mapping[str, str], doubts: list[str]
) -> None:
    for name, value in settings.items():
        await own_client.config_set(name, value)
    assert [doubt.partition(":")[0] for doubt in await unsafe_settings(own_client)] == doubts


async def test_a_server_that_hides_its_settings_is_said_to(own_client: Client, private_valkey: PrivateValkey) -> None:
    await own_client.execute_command("ACL", "SETUSER", "forebay", "on", ">pw", "~*", "+@all", "-config")
    client = connect(f"{private_valkey.url}{'&' if '?' in private_valkey.url else '?'}username=forebay&password=pw")
    assert await unsafe_settings(client) == [COULD_NOT_LOOK]
    await client.aclose()


async def test_a_server_that_does_not_let_us_in_is_unavailable(
    own_client: Client, private_valkey: PrivateValkey
) -> None:
    await own_client.config_set("requirepass", "another")
    client = connect(private_valkey.url)
    with pytest.raises(StoreUnavailable):
        await unsafe_settings(client)
    await client.aclose()


async def test_an_absent_server_is_unavailable(own_client: Client, private_valkey: PrivateValkey) -> None:
    await private_valkey.stop()
    with pytest.raises(StoreUnavailable):
        await unsafe_settings(own_client)


async def test_the_settings_of_a_cluster_can_be_looked_at(client: Client) -> None:
    assert COULD_NOT_LOOK not in await unsafe_settings(client)
