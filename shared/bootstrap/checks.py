"""Whether the servers that the settings name are there, and keep what they are given."""

from shared.adapters.files.object_files import ObjectFiles, what_is_wrong
from shared.adapters.redis.connection import connect
from shared.adapters.redis.safety import unsafe_settings
from shared.bootstrap.broker import rabbitmq
from shared.bootstrap.outward import sink
from shared.domain.clock import SystemClock
from shared.domain.errors import BrokerUnavailable, ConfigurationError, StoreUnavailable
from shared.domain.lanes import DEFERRABLE_WINDOWS
from shared.settings import Settings
from shared.wire.config_check import Finding, Level, findings_of


async def check_servers(settings: Settings) -> list[Finding]:
    """Look whether the servers that the settings name can be reached, and whether they keep what they are given.

    The embedded servers are not looked at: nobody else can set them up wrongly.
    """
    found: list[Finding] = []
    checks = (
        (settings.redis_url, _check_store),
        (settings.amqp_url, _check_broker),
        (settings.files_url, _check_files),
    )
    for url, check in checks:
        if url is not None:
            try:
                found += await check(url.get_secret_value())
            except ConfigurationError as error:
                found += findings_of(error)
    return found


async def _check_store(url: str) -> list[Finding]:
    client = connect(url)
    try:
        unsafe = await unsafe_settings(client)
    except StoreUnavailable as error:
        return [Finding(Level.ERROR, "FOREBAY_REDIS_URL", error.message)]
    finally:
        await client.aclose()
    return [Finding(Level.WARNING, "FOREBAY_REDIS_URL", sentence) for sentence in unsafe]


async def _check_broker(url: str) -> list[Finding]:
    broker = rabbitmq(url, SystemClock(), sink("error"), DEFERRABLE_WINDOWS)
    try:
        await broker.open()
    except BrokerUnavailable as error:
        return [Finding(Level.ERROR, "FOREBAY_AMQP_URL", error.message)]
    finally:
        await broker.close()
    return []


async def _check_files(url: str) -> list[Finding]:
    wrong = await what_is_wrong(ObjectFiles(url))
    return [] if wrong is None else [Finding(Level.ERROR, "FOREBAY_FILES_URL", wrong)]
