"""Where the servers are, and those that we run ourselves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from shared.adapters.embedded.valkey import EmbeddedValkey
from shared.domain.errors import ConfigurationError, StoreUnavailable
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the servers are.

    amqp_url: None: the queues are streams in the store's server. files_url: None: nothing is too large to stay inline.
    """

    redis_url: str
    amqp_url: str | None
    files_url: str | None = None
    embedded: EmbeddedValkey | None = None

    async def watch(self) -> None:
        """Return only if there is no embedded server.

        Raises:
            StoreUnavailable: the embedded server has ended; it is not started again.
        """
        if self.embedded is not None:
            how = await self.embedded.ended()
            raise StoreUnavailable(
                "The embedded Valkey has ended by itself, and Forebay with it. Nothing that was accepted is lost: "
                f"start it again with the same data directory and the work goes on. {how}"
            )


def external_servers(settings: Settings) -> Servers:
    """Give the servers that a separate role needs.

    Raises:
        ConfigurationError: one of the two URLs is not set, or neither.
    """
    urls = {"FOREBAY_AMQP_URL": settings.amqp_url, "FOREBAY_REDIS_URL": settings.redis_url}
    allowed = "a server's URL; for all in one process, without servers: `forebay up`"
    missing = [ConfigurationError(name, None, allowed) for name, url in urls.items() if url is None]
    if missing:
        raise ConfigurationError.together(missing)
    assert settings.redis_url is not None
    assert settings.amqp_url is not None
    return Servers(
        settings.redis_url.get_secret_value(), settings.amqp_url.get_secret_value(), _url(settings.files_url)
    )


@asynccontextmanager
async def embedded_servers(settings: Settings) -> AsyncIterator[Servers]:
    """Run what the settings name no server for; gone at the end, with its data kept in ``data_dir``."""
    amqp_url = _url(settings.amqp_url)
    files_url = _url(settings.files_url) or _files_below(settings.data_dir)
    if settings.redis_url is not None:
        yield Servers(settings.redis_url.get_secret_value(), amqp_url, files_url)
        return
    valkey = EmbeddedValkey(Path(settings.data_dir) / "store")
    url = await valkey.start()
    try:
        yield Servers(url, amqp_url, files_url, valkey)
    finally:
        await valkey.stop()


def _files_below(data_dir: Path) -> str:
    return (data_dir.resolve() / "files").as_uri()


def _url(url: SecretStr | None) -> str | None:
    return None if url is None else url.get_secret_value()
