"""What the duties work with. Whoever runs the scheduler opens and closes the connections."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.allowances import Allowances
from shared.domain.catalog import Lane
from shared.domain.clock import Clock
from shared.domain.events import Emit
from shared.domain.job_intake import JobIntake
from shared.domain.job_upkeep import JobUpkeep
from shared.domain.lanes import DEFERRABLE_WINDOWS, DeferrableWindow
from shared.domain.notices import Outbox
from shared.domain.provider_changes import ProviderChanges
from shared.domain.reservations import RateLimits
from shared.domain.webhook_deliveries import Deliveries
from shared.domain.work_queue import WorkQueue


@dataclass(frozen=True, slots=True)
class DutyParts:
    """The ports. ``lanes``: all that are configured; ``windows``: of deferrable work, the shortest first."""

    store: JobIntake
    upkeep: JobUpkeep
    queue: WorkQueue
    outbox: Outbox
    allowances: Allowances
    clock: Clock
    emit: Emit
    deliveries: Deliveries
    limits: RateLimits
    provider_changes: ProviderChanges
    lanes: Sequence[Lane]
    windows: tuple[DeferrableWindow, ...] = DEFERRABLE_WINDOWS
