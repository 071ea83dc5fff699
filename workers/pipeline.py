"""The way of a request through a worker: the visible list of its stages.

An error of a provider passes up through all of them as a ``ProviderError``.
"""

from collections.abc import Mapping, Sequence

from shared.domain.answer_cache import AnswerCache
from shared.domain.clock import Clock
from shared.domain.events import Emit
from shared.domain.files import Files
from shared.domain.providers import ProviderClient
from shared.domain.routing import ClientKind
from workers.stages.capacity import Capacity
from workers.stages.exact_cache import ExactCache
from workers.stages.fallbacks import Fallbacks
from workers.stages.provider_call import ProviderCall
from workers.stages.request_file import RequestFile
from workers.task import Answer, Proceed, Stage, Task


def stages(
    cache: AnswerCache,
    fallbacks: Fallbacks,
    capacity: Capacity,
    clients: Mapping[ClientKind, ProviderClient],
    clock: Clock,
    emit: Emit,
    files: Files | None = None,
) -> tuple[Stage, ...]:
    """Give the stages in the order a request meets them."""
    return (
        RequestFile(files, emit),  # a large request is read from its file
        ExactCache(cache),  # an earlier answer may serve; a new good one is kept
        fallbacks,  # one deployment after the other, one model after the other, until somebody answers
        capacity,  # a deployment is decided on, within the providers' limits; the lane waits here, not at the provider
        ProviderCall(clients, clock, emit),  # it is called once; the attempt, usage and cost are noted
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
