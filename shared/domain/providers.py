"""The port to the providers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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

    async def close(self) -> None:
        """Close the connections."""
        ...
