"""When a delivery is tried again, and what an answer means: rules that return decisions."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shared.domain.randomness import Uniform
from shared.domain.webhook_sender import Receipt

WAITS_S: Final = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""Seconds between an attempt and the next one: ten attempts in 75.6 hours, and the jitter."""

JITTER: Final = 0.1
"""The share of a wait by which it may be longer, so that what failed together does not come back together."""

LONGEST_RETRY_AFTER_S: Final = 86_400.0
"""What a receiver may ask us to wait, at most."""

HORIZON_S: Final = 4 * 86_400.0 - 3_600.0
"""Seconds from a delivery's first attempt after which none is made: what is told is kept for four days, and no longer by rights."""


class DeliveryStatus(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Round:
    """The attempts since a delivery was begun, or was begun anew.

    tried: how many there were, the last one included. began_at: seconds since the epoch.
    """

    tried: int
    began_at: float


@dataclass(frozen=True, slots=True)
class Ruling:
    """What follows from an attempt.

    next_attempt_at: seconds since the epoch, while it is pending.
    is_gone: the receiver says that nothing more is to be sent there.
    """

    status: DeliveryStatus
    next_attempt_at: float | None = None
    is_gone: bool = False


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long is waited after each failed attempt; after the last of them the delivery has failed."""

    uniform: Uniform
    waits_s: Sequence[float] = WAITS_S
    jitter: float = JITTER

    def ruling(self, receipt: Receipt, of_round: Round, now: float) -> Ruling:
        """Give what follows from an attempt that ended ``now``."""
        if receipt.status is not None and 200 <= receipt.status < 300:  # noqa: PLR2004 - what HTTP calls success
            return Ruling(DeliveryStatus.DELIVERED)
        if receipt.status == 410:  # noqa: PLR2004 - what HTTP calls gone for good
            return Ruling(DeliveryStatus.FAILED, is_gone=True)
        if of_round.tried > len(self.waits_s):
            return Ruling(DeliveryStatus.FAILED)
        next_at = now + self._wait(of_round.tried, receipt.retry_after_s)
        if next_at > of_round.began_at + HORIZON_S:
            return Ruling(DeliveryStatus.FAILED)
        return Ruling(DeliveryStatus.PENDING, next_at)

    def _wait(self, tried: int, retry_after_s: float | None) -> float:
        scheduled = self.waits_s[tried - 1] * (1 + self.uniform(0.0, self.jitter))
        return max(scheduled, min(retry_after_s or 0.0, LONGEST_RETRY_AFTER_S))
