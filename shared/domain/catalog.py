"""The models that can be asked for, and the deployments behind each."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.domain.circuit import BreakerPolicy
from shared.domain.errors import UnknownModel
from shared.domain.retry import RetryPolicy
from shared.domain.routing import Deployment, RoutingStrategy


@dataclass(frozen=True, slots=True)
class Fallbacks:
    """The lanes to go on to when a lane cannot answer, by their names, the first choice first.

    general: after any failure that another model may help with.
    context_window: for a request that is too long; None: as ``general``.
    content_policy: for a request that the provider refused to answer; None: as ``general``.
    """

    general: tuple[str, ...] = ()
    context_window: tuple[str, ...] | None = None
    content_policy: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Lane:
    """A model group: one public name, one or more deployments, how often each is tried, and what comes after it."""

    name: str
    deployments: tuple[Deployment, ...]
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    strategy: RoutingStrategy = RoutingStrategy.SIMPLE_SHUFFLE
    fallbacks: Fallbacks = Fallbacks()
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)

    @property
    def served_models(self) -> tuple[str, ...]:
        """The providers' names of the models that may answer, sorted."""
        return tuple(sorted({deployment.model for deployment in self.deployments}))


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every lane by its name, and other names for them."""

    lanes: Mapping[str, Lane]
    aliases: Mapping[str, str] = field(default_factory=dict)

    def lane(self, model: str) -> Lane:
        """Give the lane of a public model name.

        Raises:
            UnknownModel: there is none; the message names the likeliest one.
        """
        lane = self.lanes.get(self.aliases.get(model, model))
        if lane is None:
            raise UnknownModel(self._unknown(model), param="model")
        return lane

    def _unknown(self, model: str) -> str:
        close = difflib.get_close_matches(model, [*self.lanes, *self.aliases], n=1)
        hint = f" Did you mean `{close[0]}`?" if close else " GET /v1/models lists those that do."
        return f"The model `{model}` does not exist here.{hint}"
