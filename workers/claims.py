"""A worker's claims: what it asks for and lets go of, and what a failing store did not let it let go of."""

from collections.abc import Sequence

from shared.domain.job import Attempt, JobSpec
from shared.domain.job_runs import Claim, ClaimResult, JobRuns
from shared.domain.worker_leases import WorkerLeases


class Claims:
    """The claims of one worker."""

    def __init__(self, worker: str, store: JobRuns, leases: WorkerLeases) -> None:
        """``worker``: the name under which it claims."""
        self._worker = worker
        self._store = store
        self._leases = leases
        self._not_released: set[str] = set()

    async def claim(self, spec: JobSpec) -> Claim:
        """Ask to run a job; one whose holder is gone is taken over. Raises ``StoreUnavailable``.

        A claim of our own, of which the store did not say that it was granted or released, costs the job no lost worker.
        """
        may_be_ours = spec.id in self._not_released
        self._not_released.add(spec.id)
        claim = await self._store.claim(spec, self._worker)
        if claim.result is ClaimResult.HELD and not await self._is_held(claim.holder):
            lives = may_be_ours and claim.holder == self._worker
            claim = await self._store.claim(spec, self._worker, instead_of=claim.holder, holder_lives=lives)
        self._not_released.discard(spec.id)
        return claim

    async def release(self, spec: JobSpec, claim: Claim, attempts: Sequence[Attempt]) -> bool:
        """Let go without an outcome; give whether it was ours still. Raises ``StoreUnavailable``."""
        self._not_released.add(spec.id)
        released = await self._store.release(spec, claim.fence, attempts)
        self._not_released.discard(spec.id)
        return released

    async def _is_held(self, holder: str) -> bool:
        """Whether the holder really runs the job: a dead worker does not, nor do we, who lost it in an outage."""
        return holder != self._worker and await self._leases.is_alive(holder)
