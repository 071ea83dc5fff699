"""Requests and results that are too large for a message or a record, on real parts."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from producer_api.dead_letter_schemas import OpenedDeadLetter
from shared.adapters.files import whole_jobs
from shared.domain.errors import StoreUnavailable
from shared.domain.job import JobSpec, JobStatus, Outcome
from shared.domain.job_runs import Finish
from tests.integration.api_rig import ADMIN_KEY, OTHER_KEY, Answer
from tests.integration.large_bodies_rig import MIB, PROMPT, TEAM, Road, road
from workers.stages import request_file

LARGE = PROMPT * (3 * MIB // len(PROMPT))
NO_CACHE = {"cache": {"mode": "off"}}


@pytest.fixture
async def way(valkey_url: str, tmp_path: Path) -> AsyncIterator[Road]:
    async with road(valkey_url, tmp_path / "files") as way:
        yield way


async def size_of_record(way: Road, job_id: str) -> int:
    record = await way.api.redis.hgetall(f"forebay:{{{TEAM}}}:job:{job_id}")
    assert record
    return sum(len(value) for value in record.values())


def text_of(job: dict[str, Any]) -> str:
    text: str = job["response"]["choices"][0]["message"]["content"]
    return text


async def test_a_large_request_and_a_large_answer_go_round_the_broker_and_the_store(way: Road) -> None:
    way.provider.answer = "x" * 5 * MIB
    job_id = await way.accepted(LARGE)
    [published] = way.api.queue.published
    assert len(published.message.body) < 2_000
    assert await size_of_record(way, job_id) < 2_000
    [file] = way.filed("requests")
    assert file.name == f"{job_id}.json"
    await way.work()
    assert way.provider.asked == [LARGE]
    assert await size_of_record(way, job_id) < 2_000
    assert text_of(await way.shown(job_id)) == way.provider.answer
    waited = await way.api.get(f"/v1/jobs/{job_id}?wait=5")
    listed = await way.api.get("/v1/jobs")
    cancelled = await way.api.call("POST", f"/v1/jobs/{job_id}/cancel")
    assert waited.json == listed.json["data"][0] == cancelled.json == await way.shown(job_id)
    assert (len(way.filed("requests")), len(way.filed("results"))) == (0, 1)


async def test_what_is_small_stays_where_it_was(way: Road) -> None:
    job_id = await way.accepted("What is small?")
    await way.work()
    assert text_of(await way.shown(job_id)) == "Aare."
    assert way.filed(".") == []


async def test_no_file_is_named_after_what_was_asked_or_answered(way: Road) -> None:
    way.provider.answer = "canary-answer " * 100_000
    await way.accepted(LARGE, metadata={"canary": "canary"}, attribution={"user": "canary"})
    names = [str(path) for path in way.filed(".")]
    await way.work()
    names += [str(path) for path in way.filed(".")]
    assert len(names) > 2
    assert [name for name in names if "canary" in name.replace(str(way.folder), "")] == []


async def test_another_team_reaches_neither_the_job_nor_its_files(way: Road) -> None:
    way.provider.answer = "x" * MIB
    job_id = await way.accepted(LARGE)
    await way.work()
    assert (await way.api.get(f"/v1/jobs/{job_id}", OTHER_KEY)).status == 404
    assert (await way.api.get("/v1/jobs", OTHER_KEY)).json["data"] == []


async def test_a_message_names_its_file_and_no_client_can(way: Road) -> None:
    file = {"path": "requests/2026-11-25/blue/job_1.json", "size": 3}
    assert (await way.submit("Give me theirs", request_file=file)).status == 400


async def test_without_the_file_store_a_large_job_is_refused_and_a_small_one_is_not(way: Road) -> None:
    await way.accepted("The mark is made " * 30_000)
    way.go_away()
    refused = await way.submit(LARGE)
    assert refused.status == 503
    assert refused.headers["retry-after"]
    assert "file store" in refused.error["message"]
    assert (await way.submit("What is small?")).status == 202
    assert len((await way.api.get("/v1/jobs")).json["data"]) == len(way.api.queue.published) == 2
    way.come_back()
    assert (await way.submit(LARGE)).status == 202


async def test_large_lines_of_one_upload_are_all_filed(way: Road) -> None:
    text = "x" * 300_000
    line = b'{"request": {"model": "sim", "messages": [{"role": "user", "content": "%s %d"}]}}'
    answer = await way.api.upload([line % (text.encode(), number) for number in range(40)])
    assert answer.json["accepted"] == len(way.filed("requests")) == 40
    assert max(len(each.message.body) for each in way.api.queue.published) < 2_000


async def test_a_repeated_submission_leaves_one_file_and_the_first_ones_content(way: Road) -> None:
    first = await way.submit(LARGE, idempotency_key="once")
    again = await way.submit(LARGE, idempotency_key="once")
    other = await way.submit(LARGE + "!", idempotency_key="once")
    assert (first.json["id"], other.status) == (again.json["id"], 409)
    [file] = way.filed("requests")
    assert file.name == f"{first.json['id']}.json"
    await way.work()
    assert way.provider.asked == [LARGE]


async def test_a_submission_that_the_broker_did_not_take_leaves_no_file(way: Road) -> None:
    way.api.queue.away_after = 0
    assert (await way.submit(LARGE)).status == 503
    assert way.filed("requests") == []


async def test_a_retry_publishes_the_job_whose_publish_failed_with_the_file_of_then(way: Road) -> None:
    way.api.queue.away_after = 0
    assert (await way.submit(LARGE, idempotency_key="once")).status == 503
    way.api.queue.away_after = None
    job_id = (await way.submit(LARGE, idempotency_key="once")).json["id"]
    assert [file.name for file in way.filed("requests")] == [f"{job_id}.json"]
    await way.work()
    assert way.provider.asked == [LARGE]


async def test_a_job_waits_for_a_file_store_that_is_away_and_holds_back_nobody(
    way: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_file, "RETRY_S", 0.0)
    job_id = await way.accepted(LARGE)
    way.go_away()
    verdict = await way.work()
    assert verdict.rest_s == 0
    job = await way.api.job(job_id)
    assert (job.status, job.attempts, way.provider.asked) == (JobStatus.QUEUED, (), [])
    way.come_back()
    await way.work()
    assert (await way.shown(job_id))["status"] == "succeeded"


async def test_a_job_whose_request_is_gone_fails_and_says_so(way: Road) -> None:
    job_id = await way.accepted(LARGE)
    way.filed("requests")[0].unlink()
    await way.work()
    job = await way.shown(job_id)
    assert (job["status"], job["error"]["code"]) == ("failed", "request_lost")
    assert job["error"]["message"] == "The job's request is gone from the file store."
    [letter] = await way.rig.parts.queue.dead_letters(10)
    assert (letter.message.job_id, letter.reason) == (job_id, "request_lost")
    assert way.provider.asked == []


async def test_a_dead_letter_shows_a_request_that_lies_in_a_file_and_where_that_is(way: Road) -> None:
    job_id = await way.accepted(LARGE)
    delivery = await way.rig.take()
    await way.api.queue.bury(delivery.message, "overloaded", delivery.queue)

    async def opened() -> Answer:
        return await way.api.get(f"/v1/dead-letters/{job_id}?request=true", ADMIN_KEY)

    letter = OpenedDeadLetter.model_validate((await opened()).json)
    assert letter.request == {"model": "sim", "messages": [{"role": "user", "content": LARGE}]}
    [file] = way.filed("requests")
    assert letter.request_file == str(file.relative_to(way.folder))
    file.unlink()
    letter = OpenedDeadLetter.model_validate((await opened()).json)
    assert (letter.request, letter.request_file) == (None, str(file.relative_to(way.folder)))
    way.go_away()
    assert (await opened()).status == 503


async def test_an_answer_that_was_paid_for_outlives_an_absent_file_store(way: Road) -> None:
    way.provider.answer = "x" * MIB
    job_id = await way.accepted("What is large?")
    way.go_away()
    await way.work()
    assert text_of(await way.shown(job_id)) == way.provider.answer


async def test_a_result_that_cannot_be_read_now_is_a_503_and_a_lost_one_says_so(way: Road) -> None:
    way.provider.answer = "x" * MIB
    job_id = await way.accepted("What is large?", **NO_CACHE)
    await way.work()
    way.go_away()
    assert (await way.api.get(f"/v1/jobs/{job_id}")).status == 503
    way.come_back()
    way.filed("results")[0].unlink()
    job = await way.shown(job_id)
    assert (job["status"], job["response"], job["error"]["code"]) == ("succeeded", None, "result_lost")
    assert (await way.api.get("/v1/jobs")).json["data"] == [job]


async def test_a_page_of_large_results_is_shorter_and_the_next_one_goes_on(
    way: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_jobs, "LARGEST_PAGE_BYTES", 2.5 * MIB)
    way.provider.answer = "x" * MIB
    ids = [await way.accepted(f"Number {number}", **NO_CACHE) for number in range(3)]
    for _ in ids:
        await way.work()
    first = (await way.api.get("/v1/jobs")).json
    assert ([job["id"] for job in first["data"]], first["has_more"]) == ([ids[2], ids[1]], True)
    rest = (await way.api.get(f"/v1/jobs?after={first['next_after']}")).json
    assert ([job["id"] for job in rest["data"]], rest["has_more"]) == ([ids[0]], False)


async def test_the_file_of_a_late_result_overwrites_nobodys_and_goes(way: Road) -> None:
    store = way.rig.parts.store
    job_id = await way.accepted("What is large?")
    spec = (await way.api.job(job_id)).spec
    late = await store.claim(spec, "paused")
    won = await store.claim(spec, "living", instead_of="paused")
    assert await store.finish(spec, won.fence, answer("w"), ())
    assert not await store.finish(spec, late.fence, answer("l"), ())
    assert (await way.shown(job_id))["response"] == answer("w").response
    assert len(way.filed("results")) == 1


async def test_a_result_is_written_once_however_long_the_store_is_away(
    way: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, records = way.rig.parts.store, way.api.store
    spec = (await way.api.job(await way.accepted("What is large?"))).spec
    claim = await store.claim(spec, "worker-1")
    finish = type(records).finish

    async def away(*_: object) -> Finish:
        raise StoreUnavailable

    monkeypatch.setattr("shared.adapters.redis.job_store.RedisJobStore.finish", away)
    with pytest.raises(StoreUnavailable):
        await store.finish(spec, claim.fence, answer("x"), ())
    way.filed("results")[0].write_bytes(b"{}")
    monkeypatch.setattr("shared.adapters.redis.job_store.RedisJobStore.finish", finish)
    assert await store.finish(spec, claim.fence, answer("x"), ())
    assert (await way.shown(spec.id))["response"] == {}


def answer(letter: str) -> Outcome:
    return Outcome(JobStatus.SUCCEEDED, response={"text": letter * MIB})


@pytest.mark.parametrize(
    ("outcome", "files"),
    [(answer("x"), 0), (Outcome(JobStatus.EXPIRED), 0), (Outcome(JobStatus.FAILED), 1)],
    ids=["succeeded", "expired", "failed, for its dead letter"],
)
async def test_the_file_of_a_request_goes_when_its_job_has_ended(way: Road, outcome: Outcome, files: int) -> None:
    spec = await claimed(way)
    assert await way.rig.parts.store.finish(spec, 1, outcome, ())
    assert len(way.filed("requests")) == files


async def test_the_file_of_a_cancelled_jobs_request_goes(way: Road) -> None:
    spec = await claimed(way)
    assert (await way.api.call("POST", f"/v1/jobs/{spec.id}/cancel")).json["status"] == "cancelled"
    assert way.filed("requests") == []


async def claimed(way: Road) -> JobSpec:
    spec = (await way.api.job(await way.accepted(LARGE))).spec
    assert (await way.rig.parts.store.claim(spec, "worker-1")).fence == 1
    return spec
