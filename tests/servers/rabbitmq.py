"""How the tests get a real RabbitMQ.

The one named by ``FOREBAY_TEST_AMQP_URL``; else a container where Docker answers; else a private
node of an installed ``rabbitmq-server``; else, for root, the distribution's package is installed
first. Where none of this works the tests fail; they are never skipped.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

import pytest

from shared.domain.clock import SystemClock

_IMAGE: Final = "rabbitmq:4.1"
_START_DEADLINE_S: Final = 90.0
_INSTALLED: Final = (
    Path("/usr/lib/rabbitmq/bin/rabbitmq-server"),
    Path("/usr/local/sbin/rabbitmq-server"),
    Path("/opt/homebrew/sbin/rabbitmq-server"),
    Path("/usr/local/opt/rabbitmq/sbin/rabbitmq-server"),
)
_HOW_TO: Final = (
    "These tests need a RabbitMQ. Set FOREBAY_TEST_AMQP_URL to a running one (amqp://user:password@host:port/), "
    "start Docker, or install rabbitmq-server (apt-get install rabbitmq-server)."
)


class RestartableRabbitMQ(Protocol):
    """A RabbitMQ of our own, which may be killed."""

    @property
    def url(self) -> str:
        """Where it listens; the same after every start."""
        ...

    def start(self) -> None:
        """Start it on the data it has, and return when it accepts connections."""
        ...

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        ...

    def remove(self) -> None:
        """End it and delete its data."""
        ...


class PrivateRabbitMQ:
    """A node of an installed ``rabbitmq-server``, with its own port mapper, on 127.0.0.1 only."""

    def __init__(self, script: Path) -> None:
        """``script`` is ``rabbitmq-server``."""
        self._script = script
        self._home = Path(tempfile.mkdtemp(prefix="forebay-rabbitmq-"))
        self._port, self._dist_port, self._epmd_port = _free_ports(3)
        self._node: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None
        (self._home / "enabled_plugins").write_text("[].\n")
        (self._home / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self._port}\n"
            "loopback_users = none\n"
            "disk_free_limit.absolute = 50MB\n"
            "log.file.level = warning\n"
        )

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"amqp://guest:guest@127.0.0.1:{self._port}/"

    def start(self) -> None:
        """Start the node; about seven seconds."""
        if self._epmd is None:
            self._epmd = self._start_epmd()
        self._node = self._run([str(self._script)])
        _wait_for_broker(self._port, self._node, self._home / "output.log")

    def kill(self) -> None:
        """Kill the node and what it started."""
        _kill_group(self._node)
        self._node = None

    def remove(self) -> None:
        """Kill everything and delete its folder."""
        self.kill()
        _kill_group(self._epmd)
        self._epmd = None
        shutil.rmtree(self._home, ignore_errors=True)

    def _start_epmd(self) -> subprocess.Popen[bytes] | None:
        found = shutil.which("epmd")
        return self._run([found, "-port", str(self._epmd_port), "-address", "127.0.0.1"]) if found else None

    def _run(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self._home / "output.log").open("ab") as output:
            return subprocess.Popen(
                command,
                env=self._environment(),
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _environment(self) -> dict[str, str]:
        quiet = "+sbwt none +sbwtdcpu none +sbwtdio none"  # idle schedulers must not spin beside the tests
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(self._home),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"forebay{self._port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": str(self._home / "data"),
            "RABBITMQ_LOG_BASE": str(self._home / "log"),
            "RABBITMQ_CONFIG_FILE": str(self._home / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._home / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(self._home / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel inet_dist_use_interface {{127,0,0,1}} {quiet}",
        }


class ContainerRabbitMQ:
    """A RabbitMQ in a container."""

    def __init__(self) -> None:
        """Choose a port that stays the same over restarts."""
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - needs Docker to be of use

        (self._port,) = _free_ports(1)
        self._container = DockerContainer(_IMAGE)
        on_loopback = ("127.0.0.1", self._port)
        self._container.ports["5672/tcp"] = on_loopback  # type: ignore[assignment]  # Docker takes pairs too
        self._created = False

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"amqp://guest:guest@127.0.0.1:{self._port}/"

    def start(self) -> None:
        """Create the container, or start it again."""
        if self._created:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._created = True
        _wait_for_broker(self._port, None, None)

    def kill(self) -> None:
        """Kill the container's process."""
        self._container.get_wrapped_container().kill()

    def remove(self) -> None:
        """Remove the container and its data."""
        if self._created:
            self._container.stop()


@contextlib.contextmanager
def own_rabbitmq() -> Iterator[RestartableRabbitMQ]:
    """A running RabbitMQ of our own, removed at the end."""
    server = _choose_server()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def restartable_rabbitmq() -> Iterator[RestartableRabbitMQ]:
    """A running RabbitMQ of our own; who kills it starts it again."""
    with own_rabbitmq() as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq_url(request: pytest.FixtureRequest) -> str:
    """The AMQP URL of a running RabbitMQ that may be shared with others: use names of your own."""
    external = os.environ.get("FOREBAY_TEST_AMQP_URL")
    if external:
        return external
    server: RestartableRabbitMQ = request.getfixturevalue("restartable_rabbitmq")
    return server.url


def _choose_server() -> RestartableRabbitMQ:
    if _docker_answers():
        return ContainerRabbitMQ()
    if os.geteuid() == 0 and shutil.which("apt-get"):
        with _one_process_at_a_time():
            if _find_installed() is None:
                _install()
    script = _find_installed()
    if script is None:
        pytest.fail(_HOW_TO)
    return PrivateRabbitMQ(script)


def _docker_answers() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        answer = subprocess.run([docker, "info"], capture_output=True, timeout=10, check=False)
    except subprocess.TimeoutExpired:
        return False
    return answer.returncode == 0


def _find_installed() -> Path | None:
    on_path = shutil.which("rabbitmq-server")
    candidates = [*_INSTALLED, *([Path(on_path)] if on_path else [])]
    return next((candidate for candidate in candidates if os.access(candidate, os.X_OK)), None)


@contextlib.contextmanager
def _one_process_at_a_time() -> Iterator[None]:
    """Tests may run in several processes, of which one installs and the others wait."""
    with (Path(tempfile.gettempdir()) / "forebay-tests.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install() -> None:
    # In this run level the package starts no service of its own.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "rabbitmq-server"]):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.fail(f"{_HOW_TO}\n`{' '.join(command)}` failed: {done.stderr[-500:]}")


def _free_ports(count: int) -> tuple[int, ...]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = tuple(listening.getsockname()[1] for listening in sockets)
    for listening in sockets:
        listening.close()
    return ports


def _wait_for_broker(port: int, node: subprocess.Popen[bytes] | None, log: Path | None) -> None:
    clock = SystemClock()
    deadline = clock.monotonic() + _START_DEADLINE_S
    while not _speaks_amqp(port):
        if clock.monotonic() > deadline or (node is not None and node.poll() is not None):
            output = log.read_text(errors="replace")[-2_000:] if log else ""
            pytest.fail(f"RabbitMQ did not start.\n{output}")
        time.sleep(0.1)


def _speaks_amqp(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"
    except OSError:
        return False


def _kill_group(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
