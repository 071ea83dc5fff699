"""What became of the reply about a job."""

from shared.domain.callbacks import ReplyReport, ReplyStatus
from shared.domain.job_store import JobStore
from tests.contracts.store.examples import a_spec, finished, queued, seen


async def test_what_became_of_a_reply_is_kept_with_its_job_and_makes_no_job(store: JobStore) -> None:
    spec = await queued(store)
    await finished(store, spec)
    assert (await seen(store, spec)).reply is None
    report = ReplyReport(ReplyStatus.UNDELIVERABLE, 1_700_000_003.25, "No queue.")
    await store.note_reply(spec.team, spec.id, report)
    assert (await seen(store, spec)).reply == report
    gone = a_spec()
    await store.note_reply(gone.team, gone.id, report)
    assert await store.get(gone.team, gone.id) is None
