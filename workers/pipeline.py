"""The way of a request through a worker: the visible list of its stages.

An error of a provider passes up through all of them as a ``ProviderError``.
"""

from collections.abc import Sequence

from shared.domain.answer_cache import AnswerCache
from workers.stages.capacity import Capacity
from workers.stages.exact_cache import ExactCache
from workers.stages.fallbacks import Fallbacks
from workers.stages.provider_call import ProviderCall
from workers.stages.request_file import RequestFile
from workers.task import Answer, Proceed, Stage, Task


def stages(
    request: RequestFile, cache: AnswerCache, fallbacks: Fallbacks, capacity: Capacity, call: ProviderCall
) -> tuple[Stage, ...]:
    """Give the stages in the order a request meets them."""
    return (
        request,  # a large request is read from its file
        ExactCache(cache),  # an earlier answer may serve; a new good one is kept
        fallbacks,  # one deployment after the other, one model after the other, until somebody answers
        capacity,  # a deployment is decided on, within the providers' limits; the lane waits here, not at the provider
        call,  # it is called once, pieces go to who waits; the attempt, usage and cost are noted
    )


def assemble(parts: Sequence[Stage]) -> Proceed:
    """Fold the stages into one call."""
    run: Proceed = _nobody_answered
    for stage in reversed(parts):
        run = _wrap(stage, run)
    return run


def _wrap(stage: Stage, proceed: Proceed) -> Proceed:
    async def run(task: Task) -> Answer:
        return await stage(task, proceed)

    return run


async def _nobody_answered(task: Task) -> Answer:
    raise LookupError(f"no stage answered {task.envelope.spec.id}")
