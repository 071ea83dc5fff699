"""What looks outward: providers, receivers of webhooks, public prices, the log."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache

from shared.adapters.providers.price_table import PriceTable
from shared.adapters.telemetry.log_sink import log_sink
from shared.domain.events import Emit
from shared.domain.providers import ProviderClient
from shared.domain.public_addresses import AllowedNetworks
from shared.domain.routing import ClientKind
from shared.domain.usage import Price
from shared.domain.webhook_sender import WebhookSender
from shared.settings import LogLevel


@asynccontextmanager
async def provider_clients() -> AsyncIterator[Mapping[ClientKind, ProviderClient]]:
    """Give a client for every kind of deployment. LiteLLM is imported at its first call, not here."""
    from shared.adapters.providers.litellm_client import LiteLLMClient  # noqa: PLC0415 - workers alone need it
    from shared.adapters.providers.openai_http import OpenAIHttpClient  # noqa: PLC0415 - workers alone need it

    clients: dict[ClientKind, ProviderClient] = {
        ClientKind.HTTP: OpenAIHttpClient(),
        ClientKind.LITELLM: LiteLLMClient(),
    }
    try:
        yield clients
    finally:
        for client in clients.values():
            await client.close()


@asynccontextmanager
async def webhook_sender(allowed: AllowedNetworks, timeout_s: float) -> AsyncIterator[WebhookSender]:
    """Give what sends webhooks, to public addresses and those of ``allowed``; an attempt ends within ``timeout_s``."""
    from shared.adapters.webhooks.sender import HttpWebhookSender  # noqa: PLC0415 - couriers alone need it

    sender = HttpWebhookSender(allowed, timeout_s)
    try:
        yield sender
    finally:
        await sender.close()


def price_of(model: str) -> Price | None:
    """Give the public price of a model, from the table that LiteLLM ships; None: not known."""
    return _price_table().price(model)


def sink(level: LogLevel) -> Emit:
    """Give where events go: the log, from ``level`` upwards."""
    return log_sink(level)


@cache
def _price_table() -> PriceTable:
    return PriceTable()
