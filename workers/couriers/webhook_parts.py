"""What the webhooks' courier is made of."""

from dataclasses import dataclass

from shared.domain.clock import Clock
from shared.domain.events import Emit
from shared.domain.job_store import JobStore
from shared.domain.notices import Outbox
from shared.domain.provider_changes import ProviderChanges
from shared.domain.webhook_deliveries import Deliveries
from shared.domain.webhook_endpoints import WebhookEndpoints
from shared.domain.webhook_schedule import Schedule
from shared.domain.webhook_secrets import WebhookSecrets
from shared.domain.webhook_sender import WebhookSender
from shared.domain.work_queue import WorkQueue


@dataclass(frozen=True, slots=True)
class WebhookParts:
    """The ports, the rule of retries, and the settings.

    store: the records alone: what lies in files is never sent, so webhooks need no file store.
    concurrency: deliveries that one receiver may have under way in this process.
    lease_s: seconds for which an attempt is one courier's alone: longer than the sender takes.
    """

    store: JobStore
    endpoints: WebhookEndpoints
    secrets: WebhookSecrets
    deliveries: Deliveries
    provider_changes: ProviderChanges
    queue: WorkQueue
    outbox: Outbox
    sender: WebhookSender
    schedule: Schedule
    clock: Clock
    emit: Emit
    concurrency: int = 8
    lease_s: float = 20.0
