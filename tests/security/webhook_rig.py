"""What a webhook must not reach: a listener that counts, a spy on every connect of this process, names that flip."""

import asyncio
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

Answerer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]

_spies: Final[list[list[tuple[Any, ...]]]] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        for connects in _spies:
            connects.append(arguments[1])
            if arguments[1][0] not in {"127.0.0.1", "127.0.0.7", "::1"}:
                raise ConnectionRefusedError  # what a test calls stays on this machine


sys.addaudithook(_hear)


@contextmanager
def spying() -> Iterator[list[tuple[Any, ...]]]:
    """Give the address of every connection that this process begins, from now on; those that lead away are refused."""
    connects: list[tuple[Any, ...]] = []
    _spies.append(connects)
    try:
        yield connects
    finally:
        _spies.remove(connects)


@dataclass
class Listener:
    """Somebody on this machine who must not be called."""

    port: int
    connections: int = 0
    heard: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def listening(answer: Answerer | None = None, tls: ssl.SSLContext | None = None) -> AsyncIterator[Listener]:
    """Listen on 127.0.0.1 and, on the same port, on ::1; note the head of each request, then let ``answer`` answer."""
    listener = Listener(0)

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listener.connections += 1
        try:
            listener.heard.append(await reader.readuntil(b"\r\n\r\n"))
            if answer is not None:
                await answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", 0, ssl=tls)
    listener.port = server.sockets[0].getsockname()[1]
    six = await asyncio.start_server(hear, "::1", listener.port, ssl=tls) if socket.has_dualstack_ipv6() else None
    try:
        yield listener
    finally:
        for one in filter(None, (server, six)):
            one.close()


class Names:
    """Answers for names, each time the next of the answers given; hosts that are numbers are read by the system."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self._answers = {name: list(given) for name, given in answers.items()}
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, *, type: int) -> list[Any]:  # noqa: A002
        self.asked.append(host)
        if host not in self._answers:
            return socket.getaddrinfo(host, port, type=type, flags=socket.AI_NUMERICHOST)
        given = self._answers[host]
        addresses = given.pop(0) if len(given) > 1 else given[0]
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [_addr_info(address, port) for address in addresses]


def _addr_info(address: str, port: int) -> tuple[Any, ...]:
    if ":" not in address:
        return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
    plain, _, scope = address.partition("%")
    return (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (plain, port, 0, int(scope or 0)))
