"""What a job really took of its owners' allowances, told when it ends."""

from contextlib import suppress

from shared.domain.allowances import Allowances
from shared.domain.errors import StoreUnavailable
from shared.domain.job import JobSpec, JobStatus, Outcome


class Settlement:
    """Settles what was estimated at a job's admission."""

    def __init__(self, allowances: Allowances) -> None:
        """``allowances``: where the job was charged."""
        self._allowances = allowances

    async def settle(self, spec: JobSpec, outcome: Outcome) -> None:
        """Replace the estimate by what was used; without the store, or without the provider's counts, it stands."""
        if spec.charged_tokens is None:
            return  # no limit counts its tokens, and nobody spends a round trip on it
        with suppress(StoreUnavailable):
            await self._allowances.settle(spec, (1.0, _used(outcome, spec.charged_tokens)))


def _used(outcome: Outcome, estimate: float) -> float:
    if outcome.usage is not None:
        return outcome.usage.total_tokens
    return estimate if outcome.status is JobStatus.SUCCEEDED else 0.0
