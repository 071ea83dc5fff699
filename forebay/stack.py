"""The roles as processes: all of them in one (``forebay up``), or each by itself."""

import asyncio
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from forebay.heartbeat import beat
from forebay.roles import Process
from producer_api.server import listen
from shared.bootstrap.connections import Connections
from shared.bootstrap.servers import embedded_servers, external_servers
from shared.domain.errors import ConfigurationError
from shared.domain.events import RoleStarted, RoleStopped
from shared.domain.tenants import AdminKeyring, Keyring, hash_key
from shared.settings import Settings

Role = Literal["api", "worker", "scheduler", "couriers"]

ADMIN_KEY_FILE: Final = "admin-key.sha256"
"""In the data directory: the hash of the admin key that ``forebay up`` made at its first start."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the API listens; port 0: a free one."""

    host: str = "127.0.0.1"
    port: int = 8080


@dataclass(frozen=True, slots=True)
class Ready:
    """What there is to tell when everything runs. ``new_admin_key``: made just now, and shown this once."""

    url: str
    new_admin_key: str | None = None


async def run_up(settings: Settings, address: Address, on_ready: Callable[[Ready], None]) -> None:
    """Run every role in this process, on embedded servers unless others are named, until SIGINT or SIGTERM.

    Raises:
        ConfigurationError, Unavailable: it cannot start; the message says why.
        ExceptionGroup: roles failed, or the embedded store ended by itself (a ``StoreUnavailable`` in it).
    """
    process = Process.begin(settings)
    with listen(address.host, address.port) as listener:
        async with (
            embedded_servers(settings) as servers,
            process.connected(servers) as connections,
        ):
            keyring, new_admin_key = _keyring_for_up(settings, process)
            ready = Ready(_url(listener), new_admin_key)

            def all_is_ready() -> None:
                on_ready(ready)
                if new_admin_key is not None:  # not before it was shown: nobody could find it out afterwards
                    _keep(new_admin_key, settings)

            async with asyncio.TaskGroup() as everything:
                watching = everything.create_task(servers.watch())
                async with asyncio.TaskGroup() as roles:
                    api_is_ready = asyncio.Event()
                    roles.create_task(process.api(connections, keyring, listener, api_is_ready.set))
                    await api_is_ready.wait()  # the workers' libraries take a while to import
                    roles.create_task(process.worker(connections, all_is_ready))
                    roles.create_task(process.scheduler(connections, _nothing))
                    roles.create_task(process.couriers(connections, _nothing))
                watching.cancel()


async def run_role(role: Role, settings: Settings, address: Address | None = None) -> None:
    """Run one role on the servers that the settings name, until SIGINT or SIGTERM.

    Raises:
        ConfigurationError, Unavailable: it cannot start; the message says why.
    """
    process = Process.begin(settings)
    servers = external_servers(settings)
    async with (
        process.connected(servers) as connections,
        beat(settings.heartbeat_file, process.clock),
    ):
        if role == "api":
            await _run_api(process, connections, settings, address or Address())
        else:
            play = {"worker": process.worker, "scheduler": process.scheduler, "couriers": process.couriers}[role]
            await play(connections, _nothing)


async def _run_api(process: Process, connections: Connections, settings: Settings, address: Address) -> None:
    keyring = _configured_keyring(settings, process)
    if keyring is None:
        raise ConfigurationError("FOREBAY_ADMIN_KEY", None, "a secret of your choice; or general_settings.master_key")
    with listen(address.host, address.port) as listener:
        url = _url(listener)
        await process.api(connections, keyring, listener, lambda: process.emit(RoleStarted("api", url)))
        process.emit(RoleStopped("api", url))


def _configured_keyring(settings: Settings, process: Process) -> Keyring | None:
    key = settings.admin_key or process.configuration.admin_key
    return AdminKeyring(hash_key(key.get_secret_value())) if key else None


def _keyring_for_up(settings: Settings, process: Process) -> tuple[Keyring, str | None]:
    """Give the keyring, and the admin key if it had to be made."""
    configured = _configured_keyring(settings, process)
    if configured is not None:
        return configured, None
    kept = Path(settings.data_dir) / ADMIN_KEY_FILE
    if kept.exists():
        return AdminKeyring(kept.read_text().strip()), None
    key = f"fb-{secrets.token_urlsafe(32)}"
    return AdminKeyring(hash_key(key)), key


def _keep(key: str, settings: Settings) -> None:
    kept = Path(settings.data_dir) / ADMIN_KEY_FILE
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.touch(mode=0o600)
    kept.write_text(hash_key(key) + "\n")


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _nothing() -> None:
    """Nobody waits for this role to be ready."""
