"""The port to the providers."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from shared.domain.routing import Deployment
from shared.domain.usage import Usage


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """What a provider said.

    body: its JSON, with nothing added and nothing left out.
    usage: as counted in the body; None if the provider did not count.
    rate_limit_headers: its ``x-ratelimit-*``, ``anthropic-ratelimit-*`` and ``retry-after`` headers, lower case.
    """

    body: dict[str, Any]
    usage: Usage | None
    rate_limit_headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spent:
    """What an answer used that broke off. ``cost_usd``: None where the price is not known."""

    usage: Usage
    cost_usd: Decimal | None
    served_by: str


OnPiece = Callable[[bytes], Awaitable[None]]
"""Takes a chunk of an answer: the provider's own JSON, without line breaks. The next is read when it returns."""


class ProviderClient(Protocol):
    """Speaks to deployments of one kind."""

    async def call(self, deployment: Deployment, endpoint: str, request: Mapping[str, Any]) -> ProviderAnswer:
        """Make one call, once: no retries here.

        ``request`` is the client's body; its ``model`` is replaced by the deployment's. A call that outlives
        ``deployment.timeout_s`` ends as ``TimedOut``; a cancelled call closes its connection.

        Raises:
            ProviderError: whatever went wrong, translated.
        """
        ...

    async def stream(
        self, deployment: Deployment, endpoint: str, request: Mapping[str, Any], on_piece: OnPiece
    ) -> ProviderAnswer:
        """As ``call``, but ask for a stream, hand on each chunk as it comes, and give the whole answer at the end.

        ``deployment.timeout_s`` is the time to the first chunk, and between two. The usage is always asked for; its own
        chunk is handed on only if the request's ``stream_options`` ask for it. What comes whole, as embeddings do, is not
        handed on.

        Raises:
            ProviderError: as ``call``, before the first chunk was handed on.
            StreamBroken: after that, with the ``partial`` answer.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
