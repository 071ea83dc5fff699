"""How lanes are answered, for the OpenAPI document; see ``schemas``."""

from typing import Literal

from producer_api.schemas import Answer


class Depth(Answer):
    """Messages of one class: waiting in the queue, and in workers' hands (over AMQP, only those of this process)."""

    ready: int
    unacknowledged: int


class LaneRate(Answer):
    """What the lane's limits let through a second; null where there is no bound, or nothing is known.

    ``jobs``: the pace that follows for jobs.
    """

    requests: float | None
    tokens: float | None
    jobs: float | None


class DeploymentLimits(Answer):
    """As configured; null: not."""

    rpm: int | None
    tpm: int | None
    itpm: int | None
    otpm: int | None
    max_parallel_requests: int | None


class DeploymentObject(Answer):
    """One credential for one model at one provider.

    ``in_flight``: calls under way in the whole cluster. ``utilisation``: the part of its limit that is used.
    ``share``: the part of the configured limit that the provider is believed to allow.
    """

    id: str
    model: str
    region: str | None
    limits: DeploymentLimits
    in_flight: int
    utilisation: float | None
    share: float | None
    closed_until: str | None
    breaker: Literal["closed", "open", "half_open", "ramping"]


class LaneObject(Answer):
    """A lane. ``depth``: by class. ``backlog``: messages of all classes."""

    object: Literal["lane"]
    lane: str
    paused: bool
    depth: dict[str, Depth]
    backlog: int
    rate_per_second: LaneRate
    deployments: list[DeploymentObject]


class LaneList(Answer):
    """Every lane."""

    object: Literal["list"]
    data: list[LaneObject]
