"""The exact cache as a stage: a question that was answered is not asked again."""

from contextlib import suppress
from decimal import Decimal

from shared.domain.answer_cache import AnswerCache, CachedAnswer, CacheResult, is_worth_caching
from shared.domain.errors import StoreUnavailable
from shared.domain.fingerprint import cache_key
from shared.domain.usage import NOTHING
from workers.task import Answer, Proceed, Task


class ExactCache:
    """Answers from the cache where the job allows it; keeps good answers for later jobs."""

    def __init__(self, cache: AnswerCache) -> None:
        """Look and keep in ``cache``."""
        self._cache = cache

    async def __call__(self, task: Task, proceed: Proceed) -> Answer:
        """Give the kept answer, or proceed and keep what comes back if it is good."""
        policy = task.envelope.spec.cache
        if not policy.mode.stores:
            return await proceed(task)  # such a job does not look either; spare it the fingerprint
        key = cache_key(task.envelope.spec, task.envelope.request, task.lane)
        kept = await self._cache.look_up(key) if policy.mode.looks else None
        if kept is not None:
            return Answer(kept.response, kept.served_by, NOTHING, Decimal(0), CacheResult.HIT)
        answer = await proceed(task)
        if _is_by_the_model_asked(task, answer) and is_worth_caching(task.envelope.request, answer.response):
            with suppress(StoreUnavailable):  # an answer that was paid for outlives the cache
                await self._cache.store(key, _to_keep(answer), policy.ttl_s)
        return answer


def _is_by_the_model_asked(task: Task, answer: Answer) -> bool:
    """A fallback's answer helps one job over an outage; it must not stand in for the model when that is back."""
    return any(deployment.id == answer.served_by for deployment in task.lane.deployments)


def _to_keep(answer: Answer) -> CachedAnswer:
    return CachedAnswer(answer.response, answer.served_by, answer.usage or NOTHING)
