"""Our own section of the configuration: ``forebay:``."""

from collections.abc import Mapping
from datetime import UTC
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from shared.domain.backlog import BacklogPolicy
from shared.domain.files import DEFAULT_INLINE_LIMIT
from shared.domain.job_store import DEFAULT_RETENTION_S
from shared.domain.lanes import DEFAULT_WEIGHTS, DEFERRABLE_WINDOWS, Priority
from shared.domain.off_peak import OffPeak
from shared.domain.public_addresses import AllowedNetworks
from shared.wire.config_dispatch_values import DeferrableWindows, OffPeakWindows, Share, Zone
from shared.wire.config_teams import LimitsSection, Teams
from shared.wire.config_values import Bytes, Seconds, Section, Whole, empty_is_default, whole_within
from shared.wire.config_webhook_values import AtOnce, Networks, Timeout

DEFERRABLE_IDLE_SHARE: Final = 0.5

Turns = Annotated[Whole, Field(ge=1, le=1_000_000)]


class PriorityWeights(Section):
    """Turns that each priority gets while all of them have work."""

    interactive: Turns = DEFAULT_WEIGHTS[Priority.INTERACTIVE]
    standard: Turns = DEFAULT_WEIGHTS[Priority.STANDARD]
    bulk: Turns = DEFAULT_WEIGHTS[Priority.BULK]
    deferrable: Turns = DEFAULT_WEIGHTS[Priority.DEFERRABLE]

    def by_priority(self) -> Mapping[Priority, int]:
        """Give the weights under the domain's names."""
        return {
            Priority.INTERACTIVE: self.interactive,
            Priority.STANDARD: self.standard,
            Priority.BULK: self.bulk,
            Priority.DEFERRABLE: self.deferrable,
        }


class WorkerSection(Section):
    """A worker: jobs of one lane at a time; how long running jobs may go on when it is told to stop."""

    concurrency: Annotated[int, BeforeValidator(whole_within(1, 10_000))] = 128
    grace: Seconds = 25.0


class OffPeakSection(Section):
    """The hours in which deferrable work may use all that is free, by the clocks of a time zone."""

    timezone: Zone = UTC
    windows: OffPeakWindows = ()

    def to_domain(self) -> OffPeak:
        """Give the domain's word for it."""
        return OffPeak(self.windows, self.timezone)


class BacklogSection(Section):
    """What may wait. ``max_jobs``: messages of a lane beyond which no more are taken in."""

    max_jobs: Annotated[Whole, Field(ge=1)] = BacklogPolicy().max_jobs


class WebhooksSection(Section):
    """Webhooks: networks they may lead to beside public addresses; how many one receiver gets at once, and how long each may take."""

    allow_networks: Networks = AllowedNetworks()
    concurrency: AtOnce = 8
    timeout: Timeout = 15.0


class FilesSection(Section):
    """Bodies in the file store. ``inline_limit``: bytes up to which they stay in messages and records."""

    inline_limit: Bytes = DEFAULT_INLINE_LIMIT


class ForebaySection(Section):
    """What LiteLLM has no word for.

    interactive_reserve: the share of every limit that only interactive work may use.
    off_peak: when deferrable work may use all that is free. deferrable_windows: its classes.
    deferrable_idle_share: the share of every limit that deferrable work leaves free at other times.
    surplus_after: a team's unfinished jobs of a class beyond which its further ones wait behind the other teams'.
    retention: how long a finished job is kept.
    limits: the ceiling of all teams together. teams: what each may submit.
    webhooks: where they may lead, and how they are sent.
    """

    priorities: Annotated[PriorityWeights, BeforeValidator(empty_is_default)] = PriorityWeights()
    interactive_reserve: Annotated[float, Field(ge=0, le=0.9)] = 0.1
    off_peak: Annotated[OffPeakSection, BeforeValidator(empty_is_default)] = OffPeakSection()
    deferrable_windows: DeferrableWindows = DEFERRABLE_WINDOWS
    deferrable_idle_share: Share = DEFERRABLE_IDLE_SHARE
    surplus_after: Annotated[Whole, Field(ge=1)] = BacklogPolicy().surplus_after
    backlog: Annotated[BacklogSection, BeforeValidator(empty_is_default)] = BacklogSection()
    worker: Annotated[WorkerSection, BeforeValidator(empty_is_default)] = WorkerSection()
    retention: Annotated[Seconds, Field(ge=60)] = DEFAULT_RETENTION_S
    body_limit: Bytes = 4 * 1024 * 1024
    files: Annotated[FilesSection, BeforeValidator(empty_is_default)] = FilesSection()
    limits: Annotated[LimitsSection, BeforeValidator(empty_is_default)] = LimitsSection()
    teams: Annotated[Teams, BeforeValidator(empty_is_default)] = Field(default_factory=dict)
    webhooks: Annotated[WebhooksSection, BeforeValidator(empty_is_default)] = WebhooksSection()
