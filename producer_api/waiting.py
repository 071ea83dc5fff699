"""Jobs whose clients wait on their connections for the answer: let in, awaited, given up."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from producer_api.admission import Admission
from producer_api.cancellation import Cancellation
from producer_api.drafts import Arrival
from producer_api.parts import ApiParts
from producer_api.results import ResultHub
from shared.domain.answer_cache import CacheMode, CacheResult
from shared.domain.errors import InvalidInput, StoreUnavailable
from shared.domain.job import Job
from shared.wire.direct_request import without_prefix
from shared.wire.jobs import CacheWish

JOB_ID: Final = "x-forebay-job-id"
CACHE: Final = "x-forebay-cache"


@dataclass(frozen=True, slots=True)
class WaitingCall:
    """A call whose client waits, without what it asks: thousands wait at once, each for a long time.

    job_id: of the new job, if it makes one. timeout_s: how long the client waits. began_at: on the monotonic clock.
    cache: what it wishes of the cache. may_come_back: it has an idempotency key.
    include_usage: the last chunk of a streamed answer is to tell what was used.
    """

    job_id: str
    timeout_s: float
    began_at: float
    cache: CacheWish
    may_come_back: bool
    include_usage: bool = False


class Waiting:
    """What all calls whose clients wait have in common."""

    def __init__(self, parts: ApiParts, admission: Admission, results: ResultHub, cancellation: Cancellation) -> None:
        """Use the ports in ``parts``."""
        self._store = parts.store
        self._clock = parts.clock
        self._cache_default = parts.cache_default
        self._admission = admission
        self._results = results
        self._cancellation = cancellation

    async def admit(self, arrival: Arrival) -> Job:
        """Let a call's job in; raises ``ForebayError``, which names places in the call's body."""
        try:
            return await self._admission.admit_one(arrival)
        except InvalidInput as error:
            raise without_prefix(error) from None

    async def final(self, job: Job, timeout_s: float) -> Job:
        """Give the job when it is final, or as it is after ``timeout_s`` seconds, or when the server is to stop.

        A store that is away is waited for: the job was let in, and an error would have it sent again.
        """
        if job.status.is_final:
            return job
        team, job_id = job.spec.team, job.spec.id
        found = await self._results.final(
            job_id, lambda: self._store.get(team, job_id), timeout_s, gives_way=True, known=job
        )
        return found or job

    def waited_s(self, call: WaitingCall) -> float:
        """Give the seconds that the call's client has waited: less than it would have, if the server is to stop."""
        return min(call.timeout_s, self._clock.monotonic() - call.began_at)

    async def give_up(self, call: WaitingCall, job: Job) -> bool:
        """Cancel the job of a client that is gone; tell whether it was to be.

        Not with an idempotency key: then the client may come back for the answer.
        """
        if call.may_come_back or job.status.is_final:
            return False
        with suppress(StoreUnavailable):  # then it goes on, and nobody reads its answer
            await self._cancellation.cancel(job.spec.team, job.spec.id)
        return True

    def first_headers(self, call: WaitingCall) -> Mapping[str, str]:
        """Give the headers of an answer that is still being made: most is not known yet."""
        stores = call.cache.over(self._cache_default).mode.stores
        return {JOB_ID: call.job_id, CACHE: (CacheResult.MISS if stores else CacheResult.OFF).value}

    def headers(self, call: WaitingCall, job: Job) -> Mapping[str, str]:
        """Give the headers that tell how a job was answered; what is not known is left out.

        ``x-forebay-overhead-ms`` is the time since the call began, less that of the providers.
        """
        outcome = job.outcome
        headers = {JOB_ID: job.spec.id, "x-forebay-attempts": str(len(job.attempts))}
        if outcome is None:
            return headers
        cache = outcome.cache or (CacheResult.OFF if job.spec.cache.mode is CacheMode.OFF else None)
        if cache is not None:
            headers[CACHE] = cache.value
        if outcome.served_by is not None:
            headers["x-forebay-served-by"] = quote(outcome.served_by, safe="/:@ ()+,;=")
        if outcome.cost_usd is not None:
            headers["x-forebay-cost-usd"] = f"{outcome.cost_usd:f}"
        asked_s = sum(attempt.ended_at - attempt.started_at for attempt in job.attempts)
        overhead_s = max(0.0, self._clock.monotonic() - call.began_at - asked_s)
        headers["x-forebay-overhead-ms"] = f"{1_000 * overhead_s:.1f}"
        return headers
