"""A real Valkey as a child process: on a Unix socket, with an append-only file, dying with its parent."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

from shared.adapters.embedded import launcher
from shared.adapters.embedded.binary import locate_valkey
from shared.adapters.embedded.directory_lock import DirectoryLock, holder_of
from shared.domain.errors import ConfigurationError, StoreUnavailable

LONGEST_SOCKET_PATH: Final = 100
"""Bytes. Linux allows 107 and macOS 103."""

START_DEADLINE_S: Final = 30.0
"""Seconds without a sign of life after which a start has failed. Reading a long append-only file is one."""

STOP_DEADLINE_S: Final = 10.0
"""Seconds to stop in good order; then it is killed, which loses nothing either."""

_POLL_S: Final = 0.005
_WATCH_S: Final = 0.25


class EmbeddedValkey:
    """One Valkey for one data directory, with everything of it in the subdirectory ``valkey``.

    Start it from a thread that lives as long as the server shall, in practice the main one: the
    kernel ends the server together with the *thread* that started it.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        """``durable``: every write is on the disk before its reply; otherwise within a second of it."""
        self.data_dir = data_dir.resolve()
        self._durable = durable
        self._directory = self.data_dir / "valkey"
        self._owner: DirectoryLock | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._socket = self._directory / "valkey.sock"
        self._socket_directory: Path | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the server, while there is one."""
        return None if self._process is None else self._process.pid

    async def start(self) -> str:
        """Start the server and wait until it answers; give its ``unix://`` URL.

        A server that a killed Forebay left behind is shut down first.

        Raises:
            ConfigurationError: another process uses the directory, or there is no Valkey for this platform.
            StoreUnavailable: the server did not come up; the message quotes the end of its log.
        """
        binary = locate_valkey()
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory.chmod(0o700)
        self._owner = self._take_ownership()
        try:
            await self._launch(binary)
        except BaseException:
            await self.stop()
            raise
        return f"unix://{quote(str(self._socket))}"

    async def stop(self) -> None:
        """Shut the server down in good order and let go of the directory; harmless when repeated."""
        if self._process is not None:
            self._process.terminate()
            if not await _comes_true(self._has_ended, STOP_DEADLINE_S):
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._socket_directory is not None:
            shutil.rmtree(self._socket_directory, ignore_errors=True)
            self._socket_directory = None
        if self._owner is not None:
            self._owner.release()
            self._owner = None

    async def ended(self) -> str:
        """Wait until the server has ended, by itself or by ``stop``; say how, with the end of its log."""
        process = self._process
        while process is not None and process.poll() is None:  # noqa: ASYNC110 - a process sets no asyncio.Event
            await asyncio.sleep(_WATCH_S)
        status = None if process is None else process.returncode
        return f"It ended with status {status}. {self._end_of_log()}"

    def _take_ownership(self) -> DirectoryLock:
        path = self._directory / "owner.lock"
        lock = DirectoryLock.acquire(path)
        if lock is None:
            owner = holder_of(path).get("pid", "unknown")
            raise ConfigurationError(
                "data_dir",
                str(self.data_dir),
                f"a directory of its own; the process with pid {owner} is using this one",
            )
        lock.describe(pid=os.getpid())
        return lock

    async def _launch(self, binary: Path) -> None:
        lock = await self._lock_the_files()
        try:
            self._choose_socket()
            self._process = subprocess.Popen(  # noqa: S603, ASYNC220 - our own binary, and Popen takes a millisecond
                [
                    *(sys.executable, "-I", "-S", launcher.__file__, str(os.getpid())),
                    *(str(binary), *self._arguments()),
                ],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(lock.descriptor,),
                start_new_session=True,  # Ctrl-C is for Forebay, which drains first and then stops the server
            )
            lock.describe(pid=self._process.pid, socket=str(self._socket), temporary=str(self._socket_directory or ""))
        finally:
            lock.release()
        if not await self._becomes_ready():
            raise StoreUnavailable(f"The embedded Valkey in {self._directory} did not start. {self._end_of_log()}")

    async def _becomes_ready(self) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_DEADLINE_S) as deadline:
                while not self._has_ended():
                    answer = await _ping(self._socket)
                    if answer.startswith(b"+PONG"):
                        return True
                    if answer.startswith(b"-LOADING"):
                        deadline.reschedule(asyncio.get_running_loop().time() + START_DEADLINE_S)
                    await asyncio.sleep(_POLL_S)
        return False

    async def _lock_the_files(self) -> DirectoryLock:
        """Take the lock that the server itself holds; whoever holds it now is an orphan, and is shut down."""
        path = self._directory / "server.lock"
        lock = DirectoryLock.acquire(path)
        last = holder_of(path)
        for ending in (signal.SIGTERM, signal.SIGKILL):
            if lock is None and last.get("pid"):
                lock = await self._replace(int(last["pid"]), ending, path)
        if lock is None:
            raise StoreUnavailable(
                f"The process with pid {last.get('pid', 'unknown')} still serves {self._directory} and cannot be stopped."
            )
        if last.get("temporary"):
            shutil.rmtree(last["temporary"], ignore_errors=True)
        return lock

    async def _replace(self, orphan: int, ending: signal.Signals, path: Path) -> DirectoryLock | None:
        # The pid is not somebody else's: as long as the lock is held, its holder lives.
        with contextlib.suppress(ProcessLookupError):
            os.kill(orphan, ending)
        acquired: list[DirectoryLock] = []

        def lock_is_free() -> bool:
            lock = DirectoryLock.acquire(path)
            acquired.extend([lock] if lock else [])
            return bool(acquired)

        await _comes_true(lock_is_free, STOP_DEADLINE_S)
        return acquired[0] if acquired else None

    def _choose_socket(self) -> None:
        self._socket = self._directory / "valkey.sock"
        if len(os.fsencode(self._socket)) > LONGEST_SOCKET_PATH:
            self._socket_directory = Path(tempfile.mkdtemp(prefix="forebay-"))
            self._socket = self._socket_directory / "valkey.sock"
        self._socket.unlink(missing_ok=True)

    def _arguments(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._directory),
            "logfile": "valkey.log",
            "daemonize": "no",
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always" if self._durable else "everysec",
            "aof-load-truncated": "yes",
            "maxmemory-policy": "noeviction",
        }
        return [word for name, value in options.items() for word in (f"--{name}", value)]

    def _has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _end_of_log(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self._directory / "valkey.log").read_text(errors="replace").splitlines()
            return "Its log ends: " + " | ".join(lines[-3:])
        return "It left no log."


async def _ping(path: Path) -> bytes:
    """Give the server's answer to PING; empty if there is none."""
    try:
        reader, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return b""
    try:
        writer.write(b"*1\r\n$4\r\nPING\r\n")
        return await reader.readline()
    except OSError:
        return b""
    finally:
        writer.close()


async def _comes_true(condition: Callable[[], object], seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - a process and a lock of the kernel set no asyncio.Event
                await asyncio.sleep(_POLL_S)
            return True
    return False
