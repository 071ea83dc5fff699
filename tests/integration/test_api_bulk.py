"""Many jobs in one upload."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import replace

import orjson
import pytest

from producer_api.bulk_upload import MOST_UNCONFIRMED
from producer_api.open_batch import OpenBatch
from producer_api.schemas import BatchObject, BulkAnswer
from shared.adapters.redis.job_upkeep import RedisJobUpkeep
from shared.adapters.redis.keys import of_team
from shared.domain.batches import Batch
from shared.domain.job_upkeep import BATCH_LEASE_S
from shared.wire import envelope
from tests.clock import SteppingClock
from tests.eventually import eventually
from tests.integration.api_rig import BODY_LIMIT, CHAT, KEY, OTHER_KEY, SUBMISSION, TEAM, Answer, Api

LINE = orjson.dumps(SUBMISSION)


def line(n: int) -> bytes:
    """A job that differs from every other."""
    return orjson.dumps({"request": CHAT | {"seed": n}, "priority": "bulk"})


async def batch_of(api: Api, answer: Answer, key: str = KEY) -> BatchObject:
    found = await api.get(f"/v1/batches/{answer.json['batch_id']}", key)
    assert found.status == 200
    return BatchObject.model_validate(found.json)


async def test_every_line_becomes_a_job_of_one_batch(api: Api) -> None:
    answer = await api.upload([line(n) for n in range(300)])

    assert answer.status == 202
    taken = BulkAnswer.model_validate(answer.json)
    assert (taken.accepted, taken.rejected) == (300, [])
    assert answer.headers["location"] == f"/v1/batches/{taken.batch_id}"
    assert {envelope.decode(published.message.body).request["seed"] for published in api.queue.published} == set(
        range(300)
    )
    batch = await batch_of(api, answer)
    assert (batch.status, batch.request_counts.total, batch.request_counts.completed) == ("in_progress", 300, 0)
    listed = (await api.get(f"/v1/jobs?batch={taken.batch_id}&limit=1000&status=queued")).json
    assert len(listed["data"]) == 300


async def test_a_bad_line_is_rejected_alone_with_its_number(api: Api) -> None:
    lines = [line(n) for n in range(10)]
    lines[1] = b'{"request": {oops'
    lines[3] = b"   "
    lines[4] = b'{"request": {"model": "gpt-5o", "messages": [{"role": "user", "content": "x"}]}}'
    lines[6] = b"x" * (BODY_LIMIT + 1)
    lines[8] = b'{"request": {"model": "gpt-4o-mini", "messages": [{"role": "user"}]}}\r'

    taken = BulkAnswer.model_validate((await api.upload(lines)).json)

    assert taken.accepted == 5
    assert [(rejected.line, rejected.error.code) for rejected in taken.rejected] == [
        (2, "invalid_json"),
        (5, "model_not_found"),
        (7, "body_too_large"),
        (9, "invalid_request"),
    ]
    assert taken.rejected[3].error.param == "request.messages[0].content"
    assert len(api.queue.published) == 5


async def test_a_last_line_needs_no_line_feed_and_may_have_one(api: Api) -> None:
    assert (await api.upload([line(0), line(1)])).json["accepted"] == 2
    assert (await api.upload([line(2), line(3), b""])).json["accepted"] == 2


async def test_a_line_cut_into_many_chunks_is_one_line(api: Api) -> None:
    async def bytewise() -> AsyncIterator[bytes]:
        body = line(0) + b"\n" + line(1)
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    assert (await api.upload(bytewise())).json["accepted"] == 2


@pytest.mark.parametrize("body", [b"", b"\n \n\r\n"])
async def test_an_upload_without_lines_is_refused(api: Api, body: bytes) -> None:
    answer = await api.post_raw(body, "application/x-ndjson", "/v1/jobs/bulk")
    assert answer.status == 400
    assert answer.error["code"] == "empty_body"


async def test_an_upload_of_bad_lines_only_makes_a_batch_that_failed(api: Api) -> None:
    answer = await api.upload([b"oops", b"oops"])
    assert answer.status == 202
    assert [rejected["line"] for rejected in answer.json["rejected"]] == [1, 2]
    assert (await batch_of(api, answer)).status == "failed"


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data"])
async def test_another_content_type_is_refused(api: Api, content_type: str) -> None:
    answer = await api.post_raw(LINE, content_type, "/v1/jobs/bulk")
    assert answer.status == 415
    assert answer.error["code"] == "unsupported_media_type"


async def test_a_batch_counts_what_became_of_its_jobs(api: Api) -> None:
    answer = await api.upload([line(n) for n in range(3)])
    ids = [published.message.job_id for published in api.queue.published]
    await api.finish(ids[0])
    await api.finish(ids[1])
    assert (await batch_of(api, answer)).status == "in_progress"
    await api.call("POST", f"/v1/jobs/{ids[2]}/cancel")
    batch = await batch_of(api, answer)
    assert (batch.status, batch.request_counts.completed, batch.request_counts.failed) == ("completed", 2, 1)
    assert batch.completed_at is not None


async def test_a_batch_whose_jobs_were_all_cancelled_is_cancelled(api: Api) -> None:
    answer = await api.upload([line(0)])
    await api.call("POST", f"/v1/jobs/{api.queue.published[0].message.job_id}/cancel")
    assert (await batch_of(api, answer)).status == "cancelled"


async def test_lines_whose_answer_is_known_are_finished_at_once(api: Api) -> None:
    first = await api.job((await api.submit()).json["id"])
    await api.know_the_answer(first.spec)
    answer = await api.upload([LINE, line(1), LINE])
    assert answer.json["accepted"] == 3
    assert (await batch_of(api, answer)).request_counts.completed == 2
    assert len(api.queue.published) == 2


async def test_a_team_cannot_see_another_teams_batch(api: Api) -> None:
    answer = await api.upload([LINE])
    for batch_id in (answer.json["batch_id"], "batch_x", "nonsense"):
        found = await api.get(f"/v1/batches/{batch_id}", OTHER_KEY)
        assert found.status == 404
        assert found.error["code"] == "not_found"


async def test_a_repeated_upload_with_the_same_key_makes_nothing_twice(api: Api) -> None:
    lines = [line(n) for n in range(200)]
    first = await api.upload(lines, idempotency_key="night-1")
    again = await api.upload(lines, idempotency_key="night-1")
    assert again.json == first.json
    assert again.json["accepted"] == 200
    assert len(api.queue.published) == 200
    assert (await batch_of(api, again)).request_counts.total == 200


async def test_a_repeated_upload_with_another_line_rejects_that_line(api: Api) -> None:
    await api.upload([line(0), line(1)], idempotency_key="night-1")
    again = BulkAnswer.model_validate((await api.upload([line(0), line(7)], idempotency_key="night-1")).json)
    assert again.accepted == 1
    assert [(rejected.line, rejected.error.code) for rejected in again.rejected] == [(2, "idempotency_conflict")]


@pytest.mark.parametrize("query", ["", "?webhook=https://example.com/another"])
async def test_a_repeated_upload_with_another_webhook_is_refused_and_changes_nothing(api: Api, query: str) -> None:
    first = await api.upload([LINE], idempotency_key="night-1", query="?webhook=https://example.com/canary")
    again = await api.upload([LINE, line(7)], idempotency_key="night-1", query=query)
    assert (again.status, again.error["code"]) == (409, "idempotency_conflict")
    assert "`webhook`" in again.error["message"]
    assert b"canary" not in again.body
    batch = await api.store.batch(TEAM, first.json["batch_id"])
    assert batch is not None
    assert (batch.total, batch.is_open, batch.webhook) == (1, False, "https://example.com/canary")


async def test_a_parameter_that_is_not_known_is_refused_before_anything_is_done(api: Api) -> None:
    answer = await api.upload([LINE], query="?webhok=https://example.com/canary")
    assert (answer.status, answer.error["param"], answer.error["code"]) == (400, "webhok", "unknown_parameter")
    assert "allowed: `webhook`" in answer.error["message"]
    assert b"canary" not in answer.body
    assert api.queue.published == []


async def test_two_teams_may_upload_with_the_same_key(api: Api) -> None:
    red = await api.upload([LINE], idempotency_key="night-1")
    blue = await api.upload([LINE], OTHER_KEY, "night-1")
    assert red.json["batch_id"] != blue.json["batch_id"]
    assert (await batch_of(api, blue, OTHER_KEY)).request_counts.total == 1


async def test_a_broker_lost_midway_is_told_and_the_same_upload_goes_on(api: Api) -> None:
    lines = [line(n) for n in range(2_000)]
    api.queue.away_after = 700
    answer = await api.upload(lines, idempotency_key="night-1")
    assert answer.status == 503
    assert "retry-after" in answer.headers
    message = answer.error["message"]
    assert f"{len(api.queue.published)} lines were accepted into the batch batch_" in message
    assert "same Idempotency-Key" in message
    assert 0 < len(api.queue.published) <= 700

    api.queue.away_after = None
    resumed = await api.upload(lines, idempotency_key="night-1")

    assert resumed.json["accepted"] == 2_000
    assert len(api.queue.published) == 2_000
    assert len({published.message.job_id for published in api.queue.published}) == 2_000
    assert (await batch_of(api, resumed)).request_counts.total == 2_000


async def test_what_an_upload_without_a_key_was_told_was_not_taken_does_not_count(api: Api) -> None:
    api.queue.away_after = 70
    assert (await api.upload([line(n) for n in range(100)])).status == 503
    ids = [published.message.job_id for published in api.queue.published]
    [batch_id] = {(await api.job(job_id)).spec.batch_id for job_id in ids[:2]}
    for job_id in ids:
        await api.finish(job_id)
    batch = await api.store.batch(TEAM, str(batch_id))
    assert batch is not None
    assert (batch.total, batch.succeeded, batch.cancelled, batch.finished_at is None) == (70, 70, 0, False)


async def test_an_upload_that_fails_on_a_fault_of_ours_leaves_no_batch_open(api: Api) -> None:
    api.queue.away_after = 700
    api.queue.fails_with = ZeroDivisionError
    answer = await api.upload([line(n) for n in range(2_000)])
    assert answer.status == 500
    batch_id = envelope.decode(api.queue.published[0].message.body).spec.batch_id
    assert batch_id is not None
    batch = await api.store.batch(TEAM, batch_id)
    assert batch is not None
    assert not batch.is_open


async def test_a_client_that_goes_away_midway_keeps_what_was_accepted_and_its_batch_is_closed(api: Api) -> None:
    cut = asyncio.Event()

    async def cut_off() -> AsyncIterator[bytes]:
        for n in range(300):
            yield line(n) + b"\n"
        await cut.wait()

    upload = asyncio.create_task(api.upload(cut_off(), idempotency_key="night-1"))
    await eventually(lambda: has_published(api, 256))
    upload.cancel()
    batch_id = envelope.decode(api.queue.published[0].message.body).spec.batch_id
    assert batch_id is not None

    async def is_closed() -> bool:
        batch = await api.store.batch(TEAM, batch_id)
        return batch is not None and not batch.is_open

    await eventually(is_closed)
    resumed = await api.upload([line(n) for n in range(300)], idempotency_key="night-1")
    assert resumed.json["accepted"] == 300
    assert len({published.message.job_id for published in api.queue.published}) == 300


async def test_a_batch_is_held_open_while_its_lines_come_slowly_and_no_longer(api: Api) -> None:
    clock, opened = SteppingClock(), of_team(TEAM).open_batches
    batch = OpenBatch(Batch("batch_1", TEAM, None, 1.0, is_open=True), replace(api.parts, clock=clock))
    await batch.open()

    async def is_opened_again() -> bool:
        await clock.advance(BATCH_LEASE_S)
        return (await api.redis.zscore(opened, "batch_1") or 0) > 1

    for _ in range(3):
        await api.redis.zadd(opened, {"batch_1": 1.0})
        await eventually(is_opened_again)
    await batch.close()
    await clock.advance(9 * BATCH_LEASE_S)
    closed = await api.store.batch(TEAM, "batch_1")
    assert closed is not None
    assert (closed.is_open, closed.finished_at is None) == (False, False)
    assert await api.redis.zcard(opened) == 0


async def test_an_upload_whose_batch_was_sealed_meanwhile_loses_no_line_nor_does_one_that_comes_again(api: Api) -> None:
    go_on = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        for n in range(300):
            yield line(n) + b"\n"
        await go_on.wait()
        yield line(300) + b"\n"

    upload = asyncio.create_task(api.upload(slowly(), idempotency_key="night-1"))
    await eventually(lambda: has_published(api, 256))
    [sealed] = await RedisJobUpkeep(api.redis).seal(9, lease_s=0.0)  # its API was paused
    go_on.set()
    for uploading, count in (
        (upload, 301),
        (api.upload([line(n) for n in range(302)], idempotency_key="night-1"), 302),
    ):
        taken = BulkAnswer.model_validate((await uploading).json)
        assert (taken.batch_id, taken.accepted, taken.rejected) == (sealed.batch_id, count, [])
        batch = await api.store.batch(TEAM, sealed.batch_id)
        assert batch is not None
        assert (batch.is_open, batch.total) == (False, count)
    assert len({published.message.job_id for published in api.queue.published}) == 302


async def test_twenty_thousand_lines_are_never_unconfirmed_in_great_number(api: Api) -> None:
    api.queue.keeps = False
    answer = await api.upload(many_lines(20_000))
    assert answer.json["accepted"] == 18_000
    assert len(answer.json["rejected"]) == 2_000
    assert 1 < api.queue.most_unconfirmed <= MOST_UNCONFIRMED
    assert (await batch_of(api, answer)).request_counts.total == 18_000


async def test_an_upload_of_ninety_megabytes_needs_little_memory(api: Api) -> None:
    filler = "x" * 60_000
    api.queue.keeps = False

    async def large_lines() -> AsyncIterator[bytes]:
        for n in range(1_500):
            yield orjson.dumps({"request": CHAT | {"seed": n, "user": filler}}) + b"\n"

    tracemalloc.start()
    try:
        answer = await api.upload(large_lines())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.json["accepted"] == 1_500
    assert peak < 45 * 1024 * 1024  # of the client too; a message is held several times on its way


async def many_lines(total: int) -> AsyncIterator[bytes]:
    """Lines of which every tenth is bad."""
    for n in range(total):
        body = b"not a job" if n % 10 == 9 else orjson.dumps({"request": CHAT | {"seed": n, "user": "x" * 500}})
        yield body + b"\n"


async def has_published(api: Api, wanted: int) -> bool:
    return len(api.queue.published) >= wanted
