"""The server that holds the streams: the one place where this adapter meets the Redis library."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError, ResponseError
from redis.maint_notifications import MaintNotificationsConfig

from shared.adapters.streams.scripts import script_text
from shared.domain.errors import BrokerUnavailable
from shared.domain.events import Emit, ServerBack, ServerLost
from shared.domain.work_queue import PUBLISH_DEADLINE_S

NAME: Final = "valkey streams"
"""How events call this server."""

CALL_DEADLINE_S: Final = PUBLISH_DEADLINE_S
"""Seconds without an answer after which a call has failed; its connection is closed then."""

Argument = str | bytes | int | float


class StreamsServer:
    """Runs scripts and commands on connections of its own, each at most once.

    The library repeats a command whose reply was lost; here only the callers do so, who know whether
    that is safe. Losing the server and finding it again is announced once each.
    """

    def __init__(self, client: Redis, emit: Emit) -> None:
        """Reach the server that ``client`` reaches; the client itself is left alone."""
        pool = client.connection_pool
        options = {
            **{name: value for name, value in pool.connection_kwargs.items() if not name.startswith("maint_")},
            "maint_notifications_config": MaintNotificationsConfig(enabled=False),  # they need protocol 3
            "decode_responses": False,
            "health_check_interval": 0,
            "protocol": 2,
            "retry": Retry(NoBackoff(), 0),
            "socket_connect_timeout": CALL_DEADLINE_S,
            # With a timeout of its own the library sends by ``asyncio.wait_for``, which before Python 3.12
            # can swallow the cancellation of its caller. Here every call has its deadline outside.
            "socket_timeout": None,
        }
        self._pool = ConnectionPool(connection_class=pool.connection_class, **options)
        self._client = Redis.from_pool(self._pool)
        self._scripts: dict[str, AsyncScript] = {}
        self.emit: Final = emit
        self._lost = False

    async def run(self, script: str, keys: Sequence[str] = (), args: Sequence[Argument] = ()) -> Any:  # noqa: ANN401 - each script's own
        """Run the script of that name.

        Raises:
            BrokerUnavailable: no answer, or an error. The script may have run.
        """
        if script not in self._scripts:
            self._scripts[script] = self._client.register_script(script_text(script))
        try:
            async with asyncio.timeout(CALL_DEADLINE_S):
                answer = await self._scripts[script](keys=keys, args=args)
        except (RedisError, OSError) as error:
            raise self.lost(error) from error
        self.found()
        return answer

    async def call(self, *command: Argument) -> Any:  # noqa: ANN401 - each command's own
        """Run a command; raises as ``run``."""
        try:
            async with asyncio.timeout(CALL_DEADLINE_S):
                answer = await self._client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py's gap
        except (RedisError, OSError) as error:
            raise self.lost(error) from error
        self.found()
        return answer

    def new_connection(self) -> AbstractConnection:
        """Make a connection for one reader alone, not yet connected. It keeps no deadline; errors go to ``lost``."""
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py's gap
        return connection

    def lost(self, error: Exception) -> BrokerUnavailable:
        """Announce that the server cannot be reached (unless it answered, if with an error); give the error to raise."""
        message = f"{type(error).__name__}: {error}"[:200]
        if not self._lost and not isinstance(error, ResponseError):
            self._lost = True
            self.emit(ServerLost(NAME, message))
        return BrokerUnavailable(f"The server of the queues does not answer: {message}")

    def found(self) -> None:
        """Announce that the server answers again, if it did not before."""
        if self._lost:
            self._lost = False
            self.emit(ServerBack(NAME))

    async def close(self) -> None:
        """Disconnect."""
        await self._client.aclose()
