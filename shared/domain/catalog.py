"""The models that can be asked for, and the deployments behind each."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from shared.domain.circuit import BreakerPolicy
from shared.domain.errors import UnknownModel
from shared.domain.retry import RetryPolicy
from shared.domain.routing import Deployment, RoutingStrategy, RoutingWish, serves_region


class FailureKind(StrEnum):
    """What kept a lane from answering, as far as it decides which lanes come next."""

    GENERAL = "general"
    CONTEXT_WINDOW = "context_window"
    CONTENT_POLICY = "content_policy"


@dataclass(frozen=True, slots=True)
class Fallbacks:
    """The lanes to go on to when a lane cannot answer: the whole way, by their names, the first choice first.

    general: after any failure that another model may help with.
    context_window: for a request that is too long; None: as ``general``.
    content_policy: for a request that the provider refused to answer; None: as ``general``.
    """

    general: tuple[str, ...] = ()
    context_window: tuple[str, ...] | None = None
    content_policy: tuple[str, ...] | None = None

    def after(self, kind: FailureKind) -> tuple[str, ...]:
        """Give the lanes for a failure of that kind."""
        special = {FailureKind.CONTEXT_WINDOW: self.context_window, FailureKind.CONTENT_POLICY: self.content_policy}
        chosen = special.get(kind)
        return self.general if chosen is None else chosen


@dataclass(frozen=True, slots=True)
class Lane:
    """A model group: one public name, one or more deployments, how often each is tried, and what comes after it."""

    name: str
    deployments: tuple[Deployment, ...]
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    strategy: RoutingStrategy = RoutingStrategy.SIMPLE_SHUFFLE
    fallbacks: Fallbacks = Fallbacks()
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)

    def served_models(self, region: str | None) -> tuple[str, ...]:
        """Give the providers' names of the models that may answer a job which must stay in ``region``, sorted."""
        return tuple(sorted({deployment.model for deployment in self.serving(region)}))

    def serving(self, region: str | None) -> tuple[Deployment, ...]:
        """Give the deployments that may serve a job which must stay in ``region`` (None: anywhere)."""
        return tuple(deployment for deployment in self.deployments if serves_region(deployment, region))


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

    def chain(self, lane: Lane, kind: FailureKind, wish: RoutingWish) -> tuple[Lane, ...]:
        """Give the lanes to go on to, in order, when ``lane`` cannot answer for a reason of that kind.

        Those that the job wishes, else those that are configured. Each once, and only if a deployment of it may serve
        the job's region. What the configuration does not know (any more) is left out.
        """
        wished = wish.fallbacks
        names = lane.fallbacks.after(kind) if wished is None else wished
        return tuple(following for following in self._known(names, lane) if following.serving(wish.region))

    def _known(self, names: tuple[str, ...], first: Lane) -> Iterator[Lane]:
        seen = {first.name}
        for name in names:
            lane = self.lanes.get(self.aliases.get(name, name))
            if lane is not None and lane.name not in seen:
                seen.add(lane.name)
                yield lane

    def _unknown(self, model: str) -> str:
        close = difflib.get_close_matches(model, [*self.lanes, *self.aliases], n=1)
        hint = f" Did you mean `{close[0]}`?" if close else " GET /v1/models lists those that do."
        return f"The model `{model}` does not exist here.{hint}"
