"""The embedded Valkey: it keeps what it confirmed, and never outlives or doubles itself."""

import asyncio
import os
import platform
import signal
import stat
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from redis.asyncio import Redis

from shared.adapters.embedded.binary import locate_valkey
from shared.adapters.embedded.valkey import LONGEST_SOCKET_PATH, EmbeddedValkey
from shared.domain.errors import ConfigurationError, StoreUnavailable
from tests.eventually import eventually

_OWNER: Final = """
import asyncio, sys
from pathlib import Path
from shared.adapters.embedded import launcher
from shared.adapters.embedded.valkey import EmbeddedValkey

async def own():
    if len(sys.argv) > 2:
        launcher.__file__ = sys.argv[2]
    valkey = EmbeddedValkey(Path(sys.argv[1]))
    print(await valkey.start(), flush=True)
    await asyncio.Event().wait()

asyncio.run(own())
"""

_FORGETS_ITS_PARENT: Final = """
import os, sys
os.execv(sys.argv[2], sys.argv[2:])
"""


@asynccontextmanager
async def running(data_dir: Path, *, durable: bool = True) -> AsyncIterator[Redis]:
    valkey = EmbeddedValkey(data_dir, durable=durable)
    client = Redis.from_url(await valkey.start(), decode_responses=True)
    try:
        yield client
    finally:
        await client.aclose()
        await valkey.stop()


@asynccontextmanager
async def owner_process(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Another process that owns a server, and the server's URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _OWNER, *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield process, (await process.stdout.readline()).decode().strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def rewrite_log(data_dir: Path, change: Callable[[bytes], bytes]) -> None:
    (log,) = data_dir.glob("valkey/appendonlydir/*.incr.aof")
    log.write_bytes(change(log.read_bytes()))


async def answers(url: str) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(url.removeprefix("unix://"))
    except OSError:
        return False
    writer.close()
    return True


async def test_what_was_confirmed_survives_a_kill_of_the_owner(tmp_path: Path) -> None:
    async with owner_process(str(tmp_path)) as (owner, url):
        async with Redis.from_url(url) as client:
            for number in range(100):
                await client.set(f"key {number}", number)
        owner.send_signal(signal.SIGKILL)
        await owner.wait()
        async with running(tmp_path) as client:
            assert await client.mget([f"key {number}" for number in range(100)]) == [str(n) for n in range(100)]


if sys.platform == "linux":  # only its kernel promises this; elsewhere the next start cleans up

    async def test_a_killed_owner_takes_its_server_with_it(tmp_path: Path) -> None:
        async with owner_process(str(tmp_path)) as (owner, url):
            assert await answers(url)
            owner.send_signal(signal.SIGKILL)
            await owner.wait()

            async def is_gone() -> bool:
                return not await answers(url)

            await eventually(is_gone)


async def test_a_server_that_outlived_its_owner_is_shut_down_before_the_next_one_starts(tmp_path: Path) -> None:
    forgetful = tmp_path / "forgetful.py"
    forgetful.write_text(_FORGETS_ITS_PARENT)
    async with owner_process(str(tmp_path), str(forgetful)) as (owner, url):
        async with Redis.from_url(url) as client:
            await client.set("key", "value")
            orphan = (await client.info("server"))["process_id"]
        owner.send_signal(signal.SIGKILL)
        await owner.wait()
        assert await answers(url)
        async with running(tmp_path) as client:
            assert (await client.info("server"))["process_id"] != orphan
            assert await client.get("key") == "value"


async def test_the_kill_of_an_unresponsive_orphan_lets_the_next_one_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.adapters.embedded.valkey.STOP_DEADLINE_S", 0.2)
    forgetful = tmp_path / "forgetful.py"
    forgetful.write_text(_FORGETS_ITS_PARENT)
    async with owner_process(str(tmp_path), str(forgetful)) as (owner, url):
        async with Redis.from_url(url) as client:
            orphan = (await client.info("server"))["process_id"]
        os.kill(orphan, signal.SIGSTOP)
        owner.send_signal(signal.SIGKILL)
        await owner.wait()
        async with running(tmp_path) as client:
            assert await client.ping()


async def test_a_second_owner_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    async with owner_process(str(tmp_path)) as (owner, url):
        with pytest.raises(ConfigurationError) as refusal:
            await EmbeddedValkey(tmp_path).start()
        assert str(tmp_path) in refusal.value.message
        assert f"pid {owner.pid}" in refusal.value.message
        assert await answers(url)


async def test_a_killed_server_comes_back_at_the_same_address(tmp_path: Path) -> None:
    valkey = EmbeddedValkey(tmp_path)
    first = await valkey.start()
    async with Redis.from_url(first) as client:
        await client.set("key", "value")
        assert valkey.pid is not None
        os.kill(valkey.pid, signal.SIGKILL)
        await valkey.stop()
        assert await valkey.start() == first
        assert await client.get("key") == b"value"
    await valkey.stop()


async def test_a_write_cut_in_the_middle_is_dropped_and_the_rest_kept(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        await client.set("whole", "value")
    rewrite_log(tmp_path, lambda log: log + b"*3\r\n$3\r\nSET\r\n$3\r\ncut\r\n$100\r\nonly the beg")
    async with running(tmp_path) as client:
        assert await client.get("whole") == "value"
        assert await client.get("cut") is None


async def test_a_log_that_cannot_be_read_is_an_error_that_quotes_the_server(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        await client.set("key", "value")
    rewrite_log(tmp_path, lambda log: b"this is no log of commands\r\n" + log)
    with pytest.raises(StoreUnavailable, match="Bad file format"):
        await EmbeddedValkey(tmp_path).start()


@pytest.mark.parametrize("sync", ["always", "everysec"])
async def test_it_syncs_as_asked_and_evicts_nothing(tmp_path: Path, sync: str) -> None:
    async with running(tmp_path, durable=sync == "always") as client:
        options = await client.config_get("appendonly", "appendfsync", "maxmemory-policy", "save", "port")
    assert options == {
        "appendonly": "yes",
        "appendfsync": sync,
        "maxmemory-policy": "noeviction",
        "save": "",
        "port": "0",
    }


async def test_nobody_else_may_look_into_its_directory(tmp_path: Path) -> None:
    async with running(tmp_path):
        assert stat.S_IMODE((tmp_path / "valkey").stat().st_mode) == 0o700


async def test_a_long_path_and_a_strange_one_are_served_too(tmp_path: Path) -> None:
    data_dir = tmp_path / ("a very long name " * 8) / "100 % übung"
    assert len(os.fsencode(data_dir)) > LONGEST_SOCKET_PATH
    for expected in (None, "value"):
        async with running(data_dir) as client:
            assert await client.get("key") == expected
            await client.set("key", "value")
    async with running(tmp_path / "50 %?#") as client:
        assert await client.ping()


def test_a_platform_without_a_binary_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "pdp-11")
    with pytest.raises(ConfigurationError, match="set FOREBAY_REDIS_URL"):
        locate_valkey()
