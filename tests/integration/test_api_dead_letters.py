"""Dead letters over HTTP, on real parts: found, looked at, replayed, dropped."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from producer_api.dead_letter_schemas import DeadLetterList, DeadLetterObject, Dropped, OpenedDeadLetter, Replayed
from shared.domain.events import DeadLettersDropped, DeadLettersReplayed
from shared.domain.job import Attempt, JobError, JobSpec, JobStatus, Outcome
from shared.domain.lanes import JobClass, Mailbox, QueueName
from shared.domain.work_queue import Message
from shared.wire import envelope
from tests.integration.api_rig import ADMIN_KEY, CHAT, KEY, OTHER_KEY, OTHER_TEAM, TEAM, Api

PATH = "/v1/dead-letters"
FAILURE = Outcome(JobStatus.FAILED, error=JobError("It broke.", "provider_error", "overloaded"))
STANDARD = QueueName("gpt-4o-mini", JobClass("standard"))


async def failed(api: Api, key: str = KEY, reason: str = "overloaded", **fields: Any) -> JobSpec:  # noqa: ANN401 - any field of a submission
    """Have a job fail as a worker does it, without acknowledging its message."""
    team = {KEY: TEAM, OTHER_KEY: OTHER_TEAM}[key]
    job_id = (await api.submit(key=key, **fields)).json["id"]
    spec = (await api.job(job_id, team)).spec
    claim = await api.store.claim(spec, "worker-1")
    attempt = Attempt("gpt-4o-mini-1", spec.created_at, spec.created_at + 1, "overloaded", "canary-of-the-provider")
    assert await api.store.finish(spec, claim.fence, FAILURE, (attempt,))
    message = next(each.message for each in api.queue.published if each.message.job_id == job_id)
    await api.queue.bury(message, reason, replace(STANDARD, lane=spec.lane))
    api.queue.published.clear()
    return spec


async def listed(api: Api, query: str = "") -> list[dict[str, Any]]:
    answer = await api.get(f"{PATH}{query}", ADMIN_KEY)
    assert answer.status == 200, answer.body
    DeadLetterList.model_validate(answer.json)
    data: list[dict[str, Any]] = answer.json["data"]
    return data


async def replay(api: Api, **selection: object) -> Replayed:
    answer = await api.call("POST", f"{PATH}/replay", ADMIN_KEY, selection)
    assert answer.status == 200, answer.body
    return Replayed.model_validate(answer.json)


async def test_a_dead_letter_tells_everything_but_the_request(api: Api) -> None:
    spec = await failed(api)
    [letter] = await listed(api)
    assert (letter["id"], letter["job_id"], letter["team"]) == (spec.id, spec.id, TEAM)
    assert (letter["model"], letter["lane"], letter["queue"]) == ("gpt-4o-mini", "gpt-4o-mini", "gpt-4o-mini.standard")
    assert (letter["reason"], letter["problem"], letter["copies"]) == ("overloaded", None, 1)
    assert (letter["job_status"], letter["revivals"]) == ("failed", 0)
    assert [attempt["outcome"] for attempt in letter["attempts"]] == ["overloaded"]
    assert letter["size"] > 100
    assert letter["died_at"] is not None
    shown = await api.get(f"{PATH}/{spec.id}", ADMIN_KEY)
    DeadLetterObject.model_validate(shown.json)
    assert shown.json["error"]["code"] == "overloaded"
    assert shown.json | {"error": None} == letter
    for answer in (shown, await api.get(PATH, ADMIN_KEY)):
        assert b"rivers" not in answer.body
        assert b"canary" not in answer.body


async def test_the_request_is_shown_to_who_asks_for_it(api: Api) -> None:
    spec = await failed(api)
    opened = await api.get(f"{PATH}/{spec.id}?request=true", ADMIN_KEY)
    OpenedDeadLetter.model_validate(opened.json)
    assert (opened.json["request"], opened.json["body"]) == (CHAT, None)


async def test_a_letter_whose_record_is_gone_has_no_history_and_is_replayed_all_the_same(api: Api) -> None:
    spec = await failed(api)
    await api.redis.delete(f"forebay:{{{TEAM}}}:job:{spec.id}")
    [letter] = await listed(api)
    assert (letter["job_status"], letter["attempts"], letter["revivals"]) == (None, None, None)
    assert (await replay(api, all=True)).replayed == 1
    assert [each.message.job_id for each in api.queue.published] == [spec.id]


async def test_a_replayed_job_waits_where_it_came_from_and_is_queued(api: Api) -> None:
    spec = await failed(api)
    answer = await api.call("POST", f"{PATH}/{spec.id}/replay", ADMIN_KEY)
    assert (answer.status, Replayed.model_validate(answer.json).replayed) == (200, 1)
    [published] = api.queue.published
    assert (published.queue, published.message.job_id, published.delay_s) == (STANDARD, spec.id, 0)
    job = await api.job(spec.id)
    assert (job.status, job.revivals, len(job.attempts)) == (JobStatus.QUEUED, 1, 1)
    assert await listed(api) == []
    assert DeadLettersReplayed(1, 0) in api.events


async def test_two_letters_of_one_job_are_one(api: Api) -> None:
    spec = await failed(api)
    [letter] = await api.queue.dead_letters(10)
    await api.queue.bury(letter.message, "worker_lost", STANDARD)
    [shown] = await listed(api)
    assert (shown["copies"], shown["reason"]) == (2, "worker_lost")
    replayed = await replay(api, all=True)
    assert (replayed.replayed, replayed.kept, len(api.queue.published)) == (1, 0, 1)
    assert await listed(api) == []
    assert (await api.job(spec.id)).revivals == 1


async def test_copies_far_apart_are_one_as_well(api: Api) -> None:
    spec = await failed(api)
    [letter] = await api.queue.dead_letters(10)
    for number in range(120):
        await api.queue.bury(Message(b"?", f"stranger-{number}"), "not JSON", STANDARD)
    await api.queue.bury(letter.message, "worker_lost", STANDARD)
    assert (await replay(api, team=TEAM)).replayed == 1
    assert len(api.queue.published) == 1
    assert await listed(api, f"?team={TEAM}") == []
    assert (await api.job(spec.id)).revivals == 1
    await api.queue.bury(Message(b"?", "stranger-0"), "not JSON", STANDARD)
    assert (await api.call("POST", f"{PATH}/drop", ADMIN_KEY, {"reason": "not JSON"})).json["dropped"] == 120
    assert await listed(api) == []


async def test_a_job_that_failed_again_during_the_replay_keeps_its_new_letter(api: Api) -> None:
    spec = await failed(api)
    [letter] = await api.queue.dead_letters(10)
    for number in range(120):
        await api.queue.bury(Message(b"?", f"stranger-{number}"), "not JSON", STANDARD)
    publish = api.queue.publish

    async def fail_at_once(queue: QueueName, message: Message, delay_s: float = 0.0) -> None:
        await publish(queue, message, delay_s)
        claim = await api.store.claim(spec, "worker-1")
        assert await api.store.finish(spec, claim.fence, FAILURE, ())
        await api.queue.bury(letter.message, "overloaded", STANDARD)

    api.queue.publish = fail_at_once  # type: ignore[method-assign]  # a worker that is quicker than the replay
    assert (await replay(api, team=TEAM)).replayed == 1
    [left] = await listed(api, f"?team={TEAM}")
    assert (left["id"], left["job_status"], left["revivals"], left["copies"]) == (spec.id, "failed", 1, 1)


async def test_a_deadline_that_is_over_binds_a_replayed_job_no_more(api: Api) -> None:
    spec = await failed(api, within="1h")
    other = await failed(api, within="1h")
    [letter] = [letter for letter in await api.queue.dead_letters(10) if letter.id == spec.id]
    await api.call("DELETE", f"{PATH}/{spec.id}", ADMIN_KEY)
    over = replace(spec, deadline=spec.created_at - timedelta(hours=1).total_seconds())
    body = envelope.encode(replace(envelope.decode(letter.message.body), spec=over))
    await api.queue.bury(replace(letter.message, body=body), "overloaded", STANDARD)
    assert (await replay(api, all=True)).replayed == 2
    deadlines = {each.message.job_id: envelope.decode(each.message.body).spec.deadline for each in api.queue.published}
    assert deadlines == {spec.id: None, other.id: other.deadline}
    assert (await api.job(spec.id)).spec.deadline is None


async def test_a_job_that_ended_otherwise_is_left_alone_and_the_answer_says_so(api: Api) -> None:
    job_id = (await api.submit()).json["id"]
    message = api.queue.published[-1].message
    await api.finish(job_id)
    await api.queue.bury(message, "delivery_limit", STANDARD)
    answer = await api.call("POST", f"{PATH}/{job_id}/replay", ADMIN_KEY)
    assert (answer.status, answer.error["code"]) == (409, "not_replayable")
    assert "succeeded" in answer.error["message"]
    assert len(await listed(api)) == 1
    assert (await api.job(job_id)).revivals == 0


async def test_a_job_whose_message_the_broker_gave_up_is_published_again(api: Api) -> None:
    job_id = (await api.submit()).json["id"]
    message = api.queue.published[-1].message
    await api.queue.bury(message, "delivery_limit")
    assert (await replay(api, reason="delivery_limit")).replayed == 1
    assert [each.queue for each in api.queue.published] == [STANDARD, STANDARD]
    assert ((await api.job(job_id)).status, (await api.job(job_id)).revivals) == (JobStatus.QUEUED, 0)


async def test_what_cannot_be_read_is_listed_kept_at_a_replay_and_dropped(api: Api) -> None:
    await api.queue.bury(Message(b"{not JSON", ""), "not JSON: at byte 1", STANDARD)
    [letter] = await listed(api)
    assert (letter["job_id"], letter["team"], letter["lane"]) == (None, None, "gpt-4o-mini")
    assert "not JSON" in letter["problem"]
    opened = await api.get(f"{PATH}/{letter['id']}?request=true", ADMIN_KEY)
    assert (opened.json["request"], opened.json["body"]) == (None, "{not JSON")
    replayed = await replay(api, all=True)
    assert (replayed.replayed, replayed.kept) == (0, 1)
    assert "no job in it" in replayed.problems[0].message
    assert len(await listed(api)) == 1
    dropped = await api.call("DELETE", f"{PATH}/{letter['id']}", ADMIN_KEY)
    assert (dropped.status, Dropped.model_validate(dropped.json).dropped) == (200, 1)
    assert await listed(api) == []
    assert DeadLettersDropped(1) in api.events


async def test_a_job_of_a_lane_that_is_configured_no_more_is_kept(api: Api) -> None:
    spec = await failed(api)
    [letter] = await api.queue.dead_letters(10)
    elsewhere = replace(spec, lane="gpt-2", model="gpt-2")
    body = envelope.encode(replace(envelope.decode(letter.message.body), spec=elsewhere))
    await api.call("POST", f"{PATH}/drop", ADMIN_KEY, {"all": True})
    await api.queue.bury(replace(letter.message, body=body), "overloaded")
    replayed = await replay(api, model="gpt-2")
    assert (replayed.replayed, replayed.kept) == (0, 1)
    assert "`gpt-2` is not configured" in replayed.problems[0].message
    assert (await api.job(spec.id)).status is JobStatus.FAILED


async def test_dead_mail_goes_back_to_its_mailbox(api: Api) -> None:
    mail = Message(b'{"notice": {"team": "red", "subject": "job_1"}}', "job_1")
    await api.queue.bury(mail, "gone", Mailbox.WEBHOOKS.queue)
    [letter] = await listed(api)
    assert (letter["queue"], letter["problem"], letter["job_id"]) == ("forebay.webhooks", None, None)
    assert letter["id"] != "job_1"
    assert (await replay(api, all=True)).replayed == 1
    assert [(each.queue, each.message) for each in api.queue.published] == [(Mailbox.WEBHOOKS.queue, mail)]


async def test_a_selection_means_its_letters_and_no_others(api: Api) -> None:
    red, blue = await failed(api), await failed(api, OTHER_KEY)
    lost = await failed(api, reason="worker_lost")
    embedding = {"model": "embedder", "input": "text"}
    other = await failed(api, endpoint="/v1/embeddings", request=embedding)
    expected = {
        "?reason=worker_lost": {lost.id},
        f"?team={OTHER_TEAM}": {blue.id},
        "?model=embedder": {other.id},
        f"?team={TEAM}&reason=overloaded": {red.id, other.id},
        "?team=nobody": set(),
    }
    for query, ids in expected.items():
        assert {letter["id"] for letter in await listed(api, query)} == ids, query
    assert (await replay(api, team=TEAM, reason="overloaded")).replayed == 2
    assert {each.message.job_id for each in api.queue.published} == {red.id, other.id}
    assert (await api.call("POST", f"{PATH}/drop", ADMIN_KEY, {"model": "gpt-4o-mini"})).json["dropped"] == 2
    assert await listed(api) == []
    assert (await api.job(lost.id)).status is JobStatus.FAILED


async def test_pages_follow_one_another(api: Api) -> None:
    specs = [await failed(api) for _ in range(5)]
    seen: list[str] = []
    query = "?limit=2"
    for _ in range(3):
        answer = (await api.get(PATH + query, ADMIN_KEY)).json
        seen += [letter["id"] for letter in answer["data"]]
        query = f"?limit=2&after={answer['next_after']}"
    assert seen == [spec.id for spec in specs]
    assert (answer["has_more"], answer["next_after"]) == (False, None)
    refused = await api.get(f"{PATH}?after=job_1", ADMIN_KEY)
    assert (refused.status, refused.error["param"]) == (400, "after")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "all"),
        ({"all": True, "team": "red"}, "all"),
        ({"all": False}, "all"),
        ({"state": "x"}, "state"),
        ([], None),
    ],
)
async def test_a_selection_of_nothing_is_not_one_of_everything(api: Api, body: object, param: str | None) -> None:
    await failed(api)
    for action in ("replay", "drop"):
        answer = await api.call("POST", f"{PATH}/{action}", ADMIN_KEY, body)
        assert (answer.status, answer.error["param"]) == (400, param)
    assert len(await listed(api)) == 1


async def test_a_letter_that_is_not_there_is_not_found(api: Api) -> None:
    for method, path in (("GET", "/job_1"), ("POST", "/job_1/replay"), ("DELETE", "/job_1"), ("GET", "/a/b?request=1")):
        answer = await api.call(method, PATH + path, ADMIN_KEY)
        assert (answer.status, answer.error["code"]) == (404, "not_found"), (method, path)


async def test_only_an_administrator_sees_or_moves_dead_letters(api: Api) -> None:
    spec = await failed(api)
    calls = [("GET", ""), ("GET", f"/{spec.id}"), ("POST", f"/{spec.id}/replay"), ("DELETE", f"/{spec.id}")]
    for method, path in (*calls, ("POST", "/replay"), ("POST", "/drop")):
        body = {"all": True} if path in ("/replay", "/drop") else None
        assert (await api.call(method, PATH + path, KEY, body)).status == 403, (method, path)
    assert len(await listed(api)) == 1


async def test_a_replay_that_the_broker_does_not_confirm_keeps_the_letter_and_the_message(api: Api) -> None:
    spec = await failed(api)
    api.queue.away_after = 0
    answer = await api.call("POST", f"{PATH}/replay", ADMIN_KEY, {"all": True})
    assert answer.status == 503
    api.queue.away_after = None
    assert (await api.job(spec.id)).status is JobStatus.ACCEPTED
    assert [job.job_id for job in await api.store.stranded(0.0, 10)] == [spec.id]
    assert (await replay(api, all=True)).replayed == 1
    assert ((await api.job(spec.id)).status, (await api.job(spec.id)).revivals) == (JobStatus.QUEUED, 1)


async def test_a_replay_whose_end_the_store_does_not_learn_keeps_the_letter_and_runs_the_job_once(api: Api) -> None:
    spec = await failed(api)
    api.store.loses_marks = True
    assert (await api.call("POST", f"{PATH}/{spec.id}/replay", ADMIN_KEY)).status == 503
    api.store.loses_marks = False
    assert len(await listed(api)) == 1
    await api.finish(spec.id)  # by the message that was published
    again = await api.call("POST", f"{PATH}/{spec.id}/replay", ADMIN_KEY)
    assert again.status == 409
    assert ((await api.job(spec.id)).status, (await api.job(spec.id)).revivals) == (JobStatus.SUCCEEDED, 1)
