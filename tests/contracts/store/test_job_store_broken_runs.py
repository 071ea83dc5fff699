"""What was tried for a job that somebody else ended while it ran."""

from dataclasses import replace

from shared.domain.job_store import JobStore
from tests.contracts.store.examples import ATTEMPT, TEAM, a_spec, claimed, finished, queued, seen


async def test_the_broken_run_of_a_cancelled_job_is_kept_once_behind_the_earlier_ones(store: JobStore) -> None:
    spec = await queued(store)
    claim = await claimed(store, spec)
    await store.release(spec, claim.fence, (ATTEMPT,))
    await claimed(store, spec)
    await store.cancel(TEAM, spec.id)
    broken = replace(ATTEMPT, outcome="cancelled")
    for _ in range(2):
        await store.note_broken(spec, (broken,))
    await store.note_broken(spec, ())
    assert (await seen(store, spec)).attempts == (ATTEMPT, broken)


async def test_a_job_that_was_not_ended_by_another_takes_no_broken_run(store: JobStore) -> None:
    running, done, gone = await queued(store), await queued(store), a_spec()
    await claimed(store, running)
    await finished(store, done)
    before = await seen(store, done)
    for spec in (running, done, gone):
        await store.note_broken(spec, (ATTEMPT,))
    assert (await seen(store, running)).attempts == ()
    assert await seen(store, done) == before
    assert await store.get(TEAM, gone.id) is None
