"""From a URL to a client of a Redis, a Valkey, a group of them under Sentinel, or a cluster."""

import asyncio
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import (
    ChildDeadlockedError,
    IncorrectPolicyType,
    MaxConnectionsError,
    RedisClusterException,
    RedisError,
)
from redis.exceptions import ConnectionError as ConnectionLost

from shared.domain.errors import ConfigurationError

Client = Redis | RedisCluster

LIBRARY_ERRORS: Final = (RedisError, RedisClusterException, IncorrectPolicyType, ChildDeadlockedError)
"""All that redis-py raises of its own."""

MOST_CONNECTIONS: Final = 64
"""Connections of one client; who needs one more waits. In a cluster there is no such bound."""

CONNECT_DEADLINE_S: Final = 1.0
"""Seconds for making a connection."""

FREE_CONNECTION_DEADLINE_S: Final = 2.0
"""Seconds a call waits for a connection to become free."""

_DEFAULT_SENTINEL_PORT: Final = 26_379
_ALLOWED: Final = "a redis://, rediss://, unix://, redis+sentinel:// or redis+cluster:// URL"


def connect(url: str) -> Client:
    """Give a client for ``url``; it connects when it is first used. Close it with ``aclose``.

    ``redis+sentinel://[[user]:password@]host[:port][,host[:port]…]/service[/db]`` names the sentinels, and
    credentials for the servers behind them; ``redis+cluster://[[user]:password@]host[:port]`` names any node.

    A call is repeated once when its connection broke, so only what may be repeated should be sent.

    Raises:
        ConfigurationError: the URL cannot be used.
    """
    scheme = url.partition("://")[0]
    try:
        if scheme == "redis+sentinel":
            return _connect_by_sentinel(urlsplit(url))
        if scheme == "redis+cluster":
            return _connect_to_cluster(url.removeprefix("redis+cluster"))
        return Redis.from_pool(_WaitingPool.from_url(url, **_options()))
    except ValueError as error:
        # The URL itself may hold a password.
        found = f"{scheme}://…" if "://" in url else "…, without a scheme"
        raise ConfigurationError("FOREBAY_REDIS_URL", found, _ALLOWED) from error


class _WaitsForConnections(ConnectionPool):
    """Waits for a free connection, and keeps its books in steps that no cancellation can split.

    redis-py disconnects when a command is cancelled between its request and its reply, so that nobody reads
    another's reply. Its own waiting pool is not used, because there a caller that is cancelled while it waits
    can take a free connection's signal with it (``asyncio.Condition`` before Python 3.13), and the next one
    waits in vain.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as the pool it extends
        super().__init__(*args, **kwargs)
        self._free = asyncio.Semaphore(self.max_connections)

    async def get_connection(
        self,
        command_name: object = None,  # noqa: ARG002 - deprecated, and in the signature still
        *keys: object,  # noqa: ARG002 - as above
        **options: object,  # noqa: ARG002 - as above
    ) -> AbstractConnection:
        """Give a connection that is ready for a command.

        Raises:
            MaxConnectionsError: all were in use for too long.
        """
        try:
            async with asyncio.timeout(FREE_CONNECTION_DEADLINE_S):
                await self._free.acquire()
        except TimeoutError:
            raise MaxConnectionsError("no connection became free in time") from None
        connection: AbstractConnection = self.get_available_connection()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        """Take a connection back. Nothing in here waits."""
        self._in_use_connections.remove(connection)
        self._available_connections.append(connection)
        self._free.release()


class _WaitingPool(_WaitsForConnections):
    """For one server."""


class _WaitingSentinelPool(_WaitsForConnections, SentinelConnectionPool):
    """For the server that the sentinels name."""


class _RedisBySentinel(Redis):
    """Closes the connections to the sentinels with its own."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001 - as in the base class
        await super().aclose(close_connection_pool)
        if isinstance(self.connection_pool, SentinelConnectionPool):
            await self.connection_pool.sentinel_manager.aclose()


def _connect_by_sentinel(url: SplitResult) -> Redis:
    service, _, db = url.path.strip("/").partition("/")
    sentinels = [_address(part) for part in url.netloc.rpartition("@")[2].split(",")]
    if not service:
        raise ValueError("no service named")
    options = _options() | _credentials(url) | {"db": int(db or 0)}
    manager = Sentinel(sentinels, sentinel_kwargs=_options(), **options)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    return _RedisBySentinel.from_pool(_WaitingSentinelPool(service, manager, **options))


def _connect_to_cluster(rest_of_url: str) -> RedisCluster:
    # What it tries again, with a fresh map of the cluster, is bounded by its callers' deadline.
    # It cannot wait for a connection, so it must not run out of them.
    options = _options() | {"retry": Retry(NoBackoff(), 3), "max_connections": 2**31}
    return RedisCluster.from_url(f"redis{rest_of_url}", **options)


def _options() -> dict[str, Any]:
    return {
        "max_connections": MOST_CONNECTIONS,
        "socket_connect_timeout": CONNECT_DEADLINE_S,
        "socket_timeout": None,  # before Python 3.12 it would swallow cancellations; every call has a deadline outside
        "retry": Retry(NoBackoff(), 1, supported_errors=(ConnectionLost,)),
        "protocol": 2,  # RESP3 would bring only pushes that nobody here reads
        "driver_info": None,  # saves two round trips a connection
    }


def _credentials(url: SplitResult) -> dict[str, Any]:
    found = {"username": url.username, "password": url.password}
    return {name: unquote(value) for name, value in found.items() if value}


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":") if ":" in text else (text, "", "")
    return host, int(port or _DEFAULT_SENTINEL_PORT)
