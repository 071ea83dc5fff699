"""What the API is made of. Whoever calls ``create_app`` opens and closes the connections."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from producer_api.body import DEFAULT_BODY_LIMIT
from shared.domain.allowances import NO_POLICIES, Allowances, Policies
from shared.domain.answer_cache import AnswerCache, CachePolicy
from shared.domain.answer_streams import AnswerStreams
from shared.domain.api_keys import ApiKeys
from shared.domain.backlog import BacklogPolicy
from shared.domain.catalog import Catalog
from shared.domain.clock import Clock
from shared.domain.door import Door
from shared.domain.events import Emit
from shared.domain.files import LargeBodies
from shared.domain.job_feed import JobFeed
from shared.domain.job_store import DEFAULT_RETENTION_S, JobStore
from shared.domain.job_watch import JobWatch
from shared.domain.lane_pauses import LanePauses
from shared.domain.lanes import DEFAULT_WEIGHTS, DEFERRABLE_WINDOWS, DeferrableWindow, Priority
from shared.domain.notices import Outbox
from shared.domain.public_addresses import AllowedNetworks
from shared.domain.reservations import RateLimits
from shared.domain.schedule import Schedule
from shared.domain.seats import Seats
from shared.domain.tenants import Keyring
from shared.domain.webhook_deliveries import Deliveries
from shared.domain.webhook_endpoints import WebhookEndpoints
from shared.domain.webhook_secrets import WebhookSecrets
from shared.domain.work_queue import WorkQueue


@dataclass(frozen=True, slots=True)
class ApiParts:
    """The ports and the settings.

    seats: for the clients that wait on this process.
    cache_default: how a job uses the cache where it does not say.
    policies: what our own users may submit.
    body_limit: bytes of a request's body, and of one line of a bulk upload.
    retention_s: seconds after which a job that is not found is said to have expired.
    windows: of deferrable work, the shortest first. weights: turns of each priority; both as the workers have them.
    backlog: how much may wait. large: where large requests go; None: they stay in their messages.
    webhook_networks: where webhooks may lead, beside public addresses.
    door: where submissions come as messages; None: they do not.
    """

    store: JobStore
    queue: WorkQueue
    cache: AnswerCache
    feed: JobFeed
    watch: JobWatch
    limits: RateLimits
    pauses: LanePauses
    outbox: Outbox
    webhook_endpoints: WebhookEndpoints
    webhook_secrets: WebhookSecrets
    deliveries: Deliveries
    answer_streams: AnswerStreams
    schedule: Schedule
    keyring: Keyring
    api_keys: ApiKeys
    allowances: Allowances
    catalog: Catalog
    clock: Clock
    emit: Emit
    seats: Seats
    cache_default: CachePolicy
    policies: Policies = NO_POLICIES
    body_limit: int = DEFAULT_BODY_LIMIT
    retention_s: float = DEFAULT_RETENTION_S
    windows: tuple[DeferrableWindow, ...] = DEFERRABLE_WINDOWS
    weights: Mapping[Priority, int] = field(default_factory=lambda: DEFAULT_WEIGHTS)
    backlog: BacklogPolicy = field(default_factory=BacklogPolicy)
    webhook_networks: AllowedNetworks = field(default_factory=AllowedNetworks)
    door: Door | None = None
    large: LargeBodies | None = None
