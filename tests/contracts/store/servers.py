"""Real servers for the store's tests: the embedded Valkey's program, on a TCP port, alone or as a cluster of one."""

import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from shared.adapters.embedded.binary import locate_valkey
from shared.domain.clock import SystemClock

_START_DEADLINE_S: Final = 20.0
_ALL_SLOTS: Final = ("CLUSTER", "ADDSLOTSRANGE", "0", "16383")


class StoreServer:
    """A server of our own. It keeps nothing on disk."""

    def __init__(self, *options: str) -> None:
        """``options`` are those of the command line."""
        self.port = _free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="forebay-store-"))
        self._options = ("--save", "", *options)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return when it answers."""
        self._process = subprocess.Popen(
            [
                *(str(locate_valkey()), *self._options, "--port", str(self.port), "--bind", "127.0.0.1"),
                *("--dir", str(self.folder), "--logfile", "server.log"),
            ],
            cwd=self.folder,
        )
        self._ask_until("+PONG", "PING")

    def become_a_cluster(self) -> None:
        """Take all slots, and return when the cluster is up."""
        assert self.ask(*_ALL_SLOTS).startswith("+OK")
        self._ask_until("$-1", "GET", "any")

    def freeze(self) -> None:
        """Stop it in its tracks: it accepts connections and never answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """End it and delete its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, *words: str) -> str:
        """Send one command and give the beginning of the reply; nothing if there is no server."""
        request = f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as line:
                line.sendall(request.encode())
                return line.recv(4096).decode()
        except OSError:
            return ""

    def _ask_until(self, expected: str, *words: str) -> None:
        assert self._process is not None
        clock = SystemClock()
        end = clock.monotonic() + _START_DEADLINE_S
        while not self.ask(*words).startswith(expected):
            assert self._process.poll() is None, (self.folder / "server.log").read_text()
            assert clock.monotonic() < end, f"the server does not answer {expected} to {words[0]}"

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


class SentinelServer(StoreServer):
    """A sentinel that watches one server."""

    def __init__(self, service: str, watched_port: int) -> None:
        super().__init__()
        configuration = self.folder / "sentinel.conf"
        configuration.write_text(f"sentinel monitor {service} 127.0.0.1 {watched_port} 1\n")
        self._options = (str(configuration), "--sentinel")


def _free_port() -> int:
    # A cluster also listens on the port 10,000 above, so both must exist.
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port < 55_000:
            return port
