"""The API's HTTP server: uvicorn, on a socket of ours, ended by an event of ours instead of by signals."""

import asyncio
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

import uvicorn

from producer_api.described_api import DescribedApi
from producer_api.listener import Listener
from shared.domain.errors import ConfigurationError

SHUTDOWN_GRACE_S: Final = 5
"""Seconds that requests under way are given.

Long polls and streams end at once, and their clients come again; calls that wait are told that their jobs go on.
"""

BACKLOG: Final = 2048


def listen(host: str, port: int) -> socket.socket:
    """Give a listening socket; port 0 takes a free one.

    Raises:
        ConfigurationError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio turns Nagle off: an answer in two writes would else wait 40 ms for an acknowledgement.
    listener = Listener(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigurationError("--host/--port", f"{host}:{port}", f"a free address ({error.strerror})") from None
    listener.listen(BACKLOG)
    listener.setblocking(False)  # noqa: FBT003 - the socket module's signature
    return listener


async def serve(app: DescribedApi, listener: socket.socket, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
    """Serve until ``stop`` is set or this is cancelled, then let requests under way end."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
    )
    server = _Server(config, on_ready)
    stopping = asyncio.create_task(_stop_with(stop, server, app))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        _stop(server, app)
        await serving  # in good order: torn away, it would leave its lifespan behind and log that with a traceback
        raise
    finally:
        stopping.cancel()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield  # the process's signals are the stack's business


async def _stop_with(stop: asyncio.Event, server: uvicorn.Server, app: DescribedApi) -> None:
    await stop.wait()
    _stop(server, app)


def _stop(server: uvicorn.Server, app: DescribedApi) -> None:
    server.should_exit = True
    for tell in app.on_stopping:
        tell()
