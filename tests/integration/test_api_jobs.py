"""A job's way in and back, over HTTP, on real parts."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from producer_api import results
from producer_api.schemas import JobList, JobObject
from shared.adapters.redis.keys import FEED, of_team
from shared.domain import ids
from shared.domain.errors import StoreUnavailable
from shared.domain.events import BackgroundTaskDied, JobAccepted
from shared.domain.job import Job, JobStatus, Outcome
from shared.domain.job_store import DEFAULT_RETENTION_S
from shared.domain.routing import RoutingWish
from shared.wire import envelope
from tests.eventually import eventually
from tests.integration.api_rig import ANSWER, CHAT, OTHER_KEY, OTHER_TEAM, TEAM, Api, WatchedJobStore


def in_the(future: timedelta) -> str:
    return (datetime.now(UTC) + future).isoformat()  # noqa: TID251 - a client has its own clock


async def test_an_accepted_job_is_recorded_and_its_message_is_in_its_queue(api: Api) -> None:
    request = CHAT | {"temperature": 0.25, "x_unknown": {"deep": [None, "ü€😀"]}}
    answer = await api.submit(request=request, metadata={"a": "b"}, attribution={"project": "search"}, priority="bulk")

    assert answer.status == 202
    job = JobObject.model_validate(answer.json)
    assert answer.headers["location"] == f"/v1/jobs/{job.id}"
    assert (job.status, job.model, job.metadata) == ("queued", "gpt-4o-mini", {"a": "b"})
    [published] = api.queue.published
    assert published.queue.job_class.name == "bulk"
    carried = envelope.decode(published.message.body)
    assert carried.request == request
    assert carried.spec == (await api.job(job.id)).spec
    assert carried.spec.attribution.project == "search"
    assert (await api.job(job.id)).status is JobStatus.QUEUED
    assert api.events == [JobAccepted(job.id, TEAM, "gpt-4o-mini", "bulk", "queued")]


async def test_an_alias_asks_the_lane_it_stands_for(api: Api) -> None:
    answer = await api.submit(request=CHAT | {"model": "gpt-4"})
    assert answer.json["model"] == "gpt-4"
    assert api.queue.published[0].queue.lane == "gpt-4o-mini"


async def test_wishes_for_its_routing_travel_with_the_job(api: Api) -> None:
    answer = await api.submit(routing={"region": "us", "fallbacks": ["embedder"]})
    assert answer.status == 202
    wish = RoutingWish("us", ("embedder",))
    assert envelope.decode(api.queue.published[0].message.body).spec.routing == wish
    assert (await api.job(answer.json["id"])).spec.routing == wish


async def test_a_trace_context_travels_with_the_job(api: Api) -> None:
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await api.call("POST", "/v1/jobs", body={"request": CHAT}, headers={"traceparent": traceparent})
    await api.call("POST", "/v1/jobs", body={"request": CHAT}, headers={"traceparent": "nonsense"})
    carried = [envelope.decode(published.message.body).traceparent for published in api.queue.published]
    assert carried == [traceparent, None]


async def test_a_job_for_later_is_scheduled_and_delayed(api: Api) -> None:
    answer = await api.submit(run_at=in_the(timedelta(minutes=10)), within="1h")
    assert answer.json["status"] == "scheduled"
    assert answer.json["estimated_start_at"] is not None
    assert api.queue.published[0].delay_s == pytest.approx(600, abs=30)
    far = await api.submit(run_at=in_the(timedelta(days=2)))
    assert far.status == 202
    assert api.queue.published[1].delay_s == 3_600  # then a worker looks whether it was cancelled


async def test_a_moment_that_is_over_means_now(api: Api) -> None:
    answer = await api.submit(run_at=in_the(-timedelta(minutes=10)))
    assert answer.json["status"] == "queued"
    assert api.queue.published[0].delay_s == 0


async def test_deferrable_work_waits_in_the_longest_window_before_its_deadline(api: Api) -> None:
    await api.submit(priority="deferrable", within="25h")
    await api.submit(priority="deferrable", within="5m")
    names = [published.queue.job_class.name for published in api.queue.published]
    assert names == ["deferrable.24h", "standard"]


async def test_a_known_answer_is_given_at_once_and_never_touches_the_queue(api: Api) -> None:
    first = await api.job((await api.submit()).json["id"])
    await api.know_the_answer(first.spec)

    answer = await api.submit()

    assert answer.status == 200
    job = JobObject.model_validate(answer.json)
    assert (job.status, job.cache, job.response, job.cost_usd) == ("succeeded", "hit", ANSWER, 0)
    assert job.usage is not None
    assert job.usage.total_tokens == 0
    assert job.served_by == "gpt-4o-mini-1"
    assert len(api.queue.published) == 1
    assert (await api.get(f"/v1/jobs/{job.id}")).json["response"] == ANSWER


@pytest.mark.parametrize(
    "fields",
    [
        {"cache": {"mode": "off"}},
        {"cache": {"mode": "refresh"}},
        {"cache": {"namespace": "v2"}},
        {"request": CHAT | {"temperature": 1}},
        {"routing": {"region": "us"}},
        {"run_at": "2999"},
    ],
    ids=str,
)
async def test_a_known_answer_is_not_given_to_who_did_not_ask_for_it(api: Api, fields: dict[str, Any]) -> None:
    if "run_at" in fields:
        fields = {"run_at": in_the(timedelta(hours=1))}
    await api.know_the_answer((await api.job((await api.submit()).json["id"])).spec)
    assert (await api.submit(**fields)).status == 202


async def test_a_team_never_gets_another_teams_answer(api: Api) -> None:
    await api.know_the_answer((await api.job((await api.submit()).json["id"])).spec)
    assert (await api.submit(key=OTHER_KEY)).status == 202


async def test_a_team_cannot_see_wait_for_list_or_cancel_another_teams_job(api: Api) -> None:
    job_id = (await api.submit()).json["id"]
    for answer in (
        await api.get(f"/v1/jobs/{job_id}", OTHER_KEY),
        await api.get(f"/v1/jobs/{job_id}?wait=5", OTHER_KEY),
        await api.call("POST", f"/v1/jobs/{job_id}/cancel", OTHER_KEY),
    ):
        assert answer.status == 404
        assert answer.error["code"] == "not_found"
    assert (await api.get("/v1/jobs", OTHER_KEY)).json["data"] == []
    assert (await api.get(f"/v1/jobs/{job_id}")).json["status"] == "queued"


async def test_the_same_key_and_body_give_the_same_job(api: Api) -> None:
    first = await api.submit(idempotency_key="k-1")
    again = await api.submit(idempotency_key="k-1")
    assert again.status == 202
    assert again.json["id"] == first.json["id"]
    assert len(api.queue.published) == 1
    assert len([event for event in api.events if isinstance(event, JobAccepted)]) == 1

    await api.finish(first.json["id"])
    finished = await api.submit(idempotency_key="k-1")
    assert finished.status == 200
    assert finished.json["response"] == ANSWER


async def test_the_same_key_with_another_body_is_a_conflict(api: Api) -> None:
    await api.submit(idempotency_key="k-1")
    answer = await api.submit(idempotency_key="k-1", priority="bulk")
    assert answer.status == 409
    assert answer.error["code"] == "idempotency_conflict"
    assert len(api.queue.published) == 1


async def test_two_teams_may_use_the_same_idempotency_key(api: Api) -> None:
    first = await api.submit(idempotency_key="k-1")
    other = await api.submit(key=OTHER_KEY, idempotency_key="k-1", priority="bulk")
    assert other.status == 202
    assert other.json["id"] != first.json["id"]


async def test_twenty_equal_requests_at_once_make_one_job(api: Api) -> None:
    answers = await asyncio.gather(*(api.submit(idempotency_key="k-1") for _ in range(20)))
    assert {answer.status for answer in answers} == {202}
    assert len({answer.json["id"] for answer in answers}) == 1
    assert len({published.message.job_id for published in api.queue.published}) == 1
    assert len((await api.get("/v1/jobs")).json["data"]) == 1


async def test_a_broker_that_is_away_is_told_and_the_clients_retry_finishes_the_job(api: Api) -> None:
    api.queue.away_after = 0
    refused = await api.submit(idempotency_key="k-1")
    assert refused.status == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert "was not accepted" in refused.error["message"]
    assert refused.error["code"] == "service_unavailable"

    api.queue.away_after = None
    accepted = await api.submit(idempotency_key="k-1")

    assert accepted.status == 202
    [published] = api.queue.published
    assert published.message.job_id == accepted.json["id"]
    assert envelope.decode(published.message.body).spec == (await api.job(accepted.json["id"])).spec
    assert len((await api.get("/v1/jobs")).json["data"]) == 1


async def test_a_job_that_was_not_accepted_never_runs_beside_its_clients_next_try(api: Api) -> None:
    api.queue.away_after = 0
    assert (await api.submit()).status == 503

    api.queue.away_after = None
    accepted = await api.submit()

    [next_try] = (await api.get("/v1/jobs")).json["data"]
    assert (next_try["id"], next_try["status"]) == (accepted.json["id"], "queued")
    records = [key async for key in api.redis.scan_iter(match=of_team(TEAM).job("*"))]
    statuses = [await api.redis.hget(key, "status") for key in records]
    assert set(statuses) == {b"cancelled", b"queued"}


async def test_a_lost_note_of_a_confirmed_publish_fails_nobody(api: Api) -> None:
    api.store.loses_marks = True
    answer = await api.submit()
    assert answer.status == 202
    assert answer.json["status"] == "queued"
    assert (await api.get(f"/v1/jobs/{answer.json['id']}")).json["status"] == "queued"


async def test_a_job_is_cancelled_and_stays_so(api: Api) -> None:
    job_id = (await api.submit()).json["id"]
    assert (await api.call("POST", f"/v1/jobs/{job_id}/cancel")).json["status"] == "cancelled"
    assert (await api.call("POST", f"/v1/jobs/{job_id}/cancel")).json["status"] == "cancelled"
    assert (await api.get(f"/v1/jobs/{job_id}")).json["status"] == "cancelled"


@pytest.mark.parametrize(
    "job_id", ["job_x", "nonsense", "job_%00", "batch_01k9zzzzzzzzzzzzzzzzzzzzzz", "job_" + "u" * 26]
)
async def test_what_is_no_job_id_is_not_found(api: Api, job_id: str) -> None:
    assert (await api.get(f"/v1/jobs/{job_id}")).status == 404
    assert (await api.call("POST", f"/v1/jobs/{job_id}/cancel")).status == 404


async def test_a_job_older_than_the_retention_is_gone_rather_than_unknown(api: Api) -> None:
    now = api.parts.clock.now()
    old = await api.get(f"/v1/jobs/{ids.new_id('job', now - DEFAULT_RETENTION_S - 60)}")
    assert old.status == 410
    assert old.error["code"] == "job_expired"
    assert (await api.get(f"/v1/jobs/{ids.new_id('job', now)}?wait=10")).status == 404


async def test_pages_walk_through_all_jobs_newest_first(api: Api) -> None:
    made = [(await api.submit(priority=priority)).json["id"] for priority in ("bulk", "standard", "bulk", "bulk")]
    first = (await api.get("/v1/jobs?limit=3")).json
    JobList.model_validate(first)
    assert (first["first_id"], first["last_id"], first["has_more"]) == (made[3], made[1], True)
    rest = (await api.get(f"/v1/jobs?limit=3&after={first['next_after']}")).json
    assert [job["id"] for job in rest["data"]] == [made[0]]
    assert (rest["has_more"], rest["next_after"]) == (False, None)


async def test_lists_are_filtered_by_the_words_that_clients_see(api: Api) -> None:
    api.store.loses_marks = True
    accepted = (await api.submit(priority="bulk")).json["id"]
    api.store.loses_marks = False
    done = (await api.submit()).json["id"]
    await api.finish(done)

    async def listed(query: str) -> list[str]:
        return [job["id"] for job in (await api.get(f"/v1/jobs?{query}")).json["data"]]

    assert await listed("status=queued") == [accepted]
    assert await listed("status=succeeded") == [done]
    assert await listed("priority=bulk") == [accepted]
    assert await listed("status=failed") == []


async def test_a_long_poll_is_answered_when_the_job_is_finished(api: Api) -> None:
    job_id = (await api.submit()).json["id"]
    before = api.store.readings
    polls = [asyncio.create_task(api.get(f"/v1/jobs/{job_id}?wait=60")) for _ in range(10)]
    await eventually(lambda: readings(api, before + 10))
    await api.finish(job_id)
    for poll in polls:
        assert (await poll).json["status"] == "succeeded"
    assert await followers(api) == 1


async def test_a_long_poll_survives_the_loss_of_the_feed(api: Api) -> None:
    job_id = (await api.submit()).json["id"]
    before = api.store.readings
    poll = asyncio.create_task(api.get(f"/v1/jobs/{job_id}?wait=60"))
    await eventually(lambda: readings(api, before + 1))
    await api.redis.client_kill_filter(_type="pubsub")
    await api.finish(job_id)
    assert (await poll).json["status"] == "succeeded"


async def test_a_long_poll_outlives_an_absent_store(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "LOOK_AGAIN_S", 0.02)
    job_id = (await api.submit()).json["id"]
    before, refused = api.store.readings, 0
    poll = asyncio.create_task(api.get(f"/v1/jobs/{job_id}?wait=60"))
    await eventually(lambda: readings(api, before + 1))
    job = await api.job(job_id)

    async def away(self: WatchedJobStore, team: str, looked_for: str) -> Job | None:
        nonlocal refused
        refused += 1
        raise StoreUnavailable

    async def asked() -> bool:
        return refused >= 3

    with monkeypatch.context() as absent:
        absent.setattr(WatchedJobStore, "get", away)
        claim = await api.store.claim(job.spec, "worker-1")
        await api.store.finish(job.spec, claim.fence, Outcome(JobStatus.FAILED), ())
        await eventually(asked)
        assert (await api.get(f"/v1/jobs/{job_id}?wait=60")).status == 503
    assert (await poll).json["status"] == "failed"


async def test_a_long_poll_whose_time_is_over_shows_the_job_as_it_is(api: Api) -> None:
    job_id = (await api.submit()).json["id"]
    await api.store.claim((await api.job(job_id)).spec, "worker-1")
    assert (await api.get(f"/v1/jobs/{job_id}?wait=0.05")).json["status"] == "running"


async def test_a_finished_job_is_shown_with_all_that_is_known(api: Api) -> None:
    job_id = (await api.submit(key=OTHER_KEY)).json["id"]
    await api.finish(job_id, OTHER_TEAM)
    job = JobObject.model_validate((await api.get(f"/v1/jobs/{job_id}", OTHER_KEY)).json)
    assert job.usage is not None
    assert (job.usage.input_tokens, job.usage.output_tokens, job.usage.total_tokens) == (3, 4, 7)
    assert job.cost_usd is None
    assert job.finished_at is not None


async def readings(api: Api, wanted: int) -> bool:
    """Whoever waits is registered before it reads."""
    return api.store.readings >= wanted


async def followers(api: Api) -> int:
    [(_, count)] = await api.redis.pubsub_numsub(FEED)
    return int(count)


async def test_nonsense_in_the_feed_is_announced_and_those_who_wait_are_woken_as_before(api: Api) -> None:
    job_id = (await api.submit()).json["id"]
    await api.redis.publish(FEED, "nonsense")

    async def listens_again() -> bool:
        died = any(isinstance(event, BackgroundTaskDied) and event.task == "result-hub" for event in api.events)
        return died and await followers(api) == 1

    await eventually(listens_again)
    before = api.store.readings
    poll = asyncio.create_task(api.get(f"/v1/jobs/{job_id}?wait=60"))
    await eventually(lambda: readings(api, before + 1))
    await api.finish(job_id)
    async with asyncio.timeout(30):
        assert (await poll).json["status"] == "succeeded"
