"""Webhooks over HTTP: endpoints, secrets, deliveries; on jobs and batches; each team its own."""

from typing import Any

import pytest
from pydantic import BaseModel

from producer_api.schemas import NewKeyObject
from producer_api.webhook_schemas import (
    DeletedEndpoint,
    DeliveryList,
    DeliveryObject,
    EndpointList,
    EndpointObject,
    EndpointWithSecret,
    SecretObject,
)
from shared.adapters.redis.keys import of_team
from shared.domain.lanes import Mailbox
from shared.domain.webhook_deliveries import AttemptDue, Delivery, DeliveryAttempt
from shared.domain.webhook_endpoints import MOST_ENDPOINTS, Failing
from shared.domain.webhook_schedule import DeliveryStatus, Ruling
from shared.domain.webhooks import EventType, WebhookEvent
from tests.eventually import eventually
from tests.integration.api_rig import ADMIN_KEY, CHAT, OTHER_KEY, SUBMISSION, TEAM, Answer, Api, running_api

URL = "https://example.com/hook?token=canary"
ENDPOINTS = "/v1/webhooks/endpoints"
DELIVERIES = "/v1/webhooks/deliveries"


async def make(api: Api, **wish: object) -> Answer:
    return await api.call("POST", ENDPOINTS, body={"url": URL, **wish})


async def made(api: Api, **wish: object) -> EndpointWithSecret:
    answer = await make(api, **wish)
    assert answer.status == 201, answer.body
    return EndpointWithSecret.model_validate(answer.json)


async def begun(api: Api, number: int = 1, endpoint_id: str | None = None) -> Delivery:
    event = WebhookEvent(f"evt_{number}", TEAM, EventType.JOB_FAILED, f"job_{number}", 1_700_000_000.0 + number, number)
    [delivery] = await api.parts.deliveries.begin([Delivery.to(event, URL, endpoint_id, event.at)])
    return delivery


def shown(model: type[BaseModel], answer: Answer, status: int = 200) -> Any:  # noqa: ANN401 - of the type given
    assert answer.status == status, answer.body
    return model.model_validate(answer.json)


async def test_an_endpoint_is_made_and_its_secret_shown_this_once(api: Api) -> None:
    answer = await make(api, events=["job.failed", "batch.completed", "job.failed"])
    endpoint = shown(EndpointWithSecret, answer, 201)
    assert answer.headers["cache-control"] == "no-store"
    assert endpoint.secret.startswith("whsec_")
    assert endpoint.events == ["job.failed", "batch.completed"]
    got = await api.get(f"{ENDPOINTS}/{endpoint.id}")
    listed = await api.get(ENDPOINTS)
    assert shown(EndpointObject, got).model_dump() == endpoint.model_dump(exclude={"secret"})
    assert [one.id for one in shown(EndpointList, listed).data] == [endpoint.id]
    assert endpoint.secret.encode() not in got.body + listed.body


async def test_a_deleted_endpoint_is_gone_and_counted_no_more(api: Api) -> None:
    endpoint = await made(api)
    assert await api.redis.hget(of_team(TEAM).events, "endpoints") == b"1"
    deleted = shown(DeletedEndpoint, await api.call("DELETE", f"{ENDPOINTS}/{endpoint.id}"))
    assert deleted.id == endpoint.id
    assert (await api.get(f"{ENDPOINTS}/{endpoint.id}")).status == 404
    assert (await api.call("DELETE", f"{ENDPOINTS}/{endpoint.id}")).status == 404
    assert await api.redis.hget(of_team(TEAM).events, "endpoints") == b"0"


async def test_a_rotation_shows_the_new_secret_once(api: Api) -> None:
    endpoint = await made(api)
    answer = await api.call("POST", f"{ENDPOINTS}/{endpoint.id}/rotate")
    rotated = shown(EndpointWithSecret, answer)
    assert rotated.secret != endpoint.secret
    assert answer.headers["cache-control"] == "no-store"
    kept = await api.parts.webhook_endpoints.get(TEAM, endpoint.id)
    assert kept is not None
    assert kept.secret.valid_at(api.parts.clock.now()) == (rotated.secret, endpoint.secret)


async def test_a_disabled_endpoint_says_why_and_can_be_enabled(api: Api) -> None:
    endpoint = await made(api)
    now = api.parts.clock.now()
    await api.parts.webhook_endpoints.note_failing(TEAM, endpoint.id, Failing(now, now))
    await api.parts.webhook_endpoints.disable(TEAM, endpoint.id, "it answered 410", now)
    disabled = shown(EndpointObject, await api.get(f"{ENDPOINTS}/{endpoint.id}"))
    assert disabled.disabled_reason == "it answered 410"
    assert disabled.disabled_at == disabled.failing_since is not None
    enabled = shown(EndpointObject, await api.call("POST", f"{ENDPOINTS}/{endpoint.id}/enable"))
    assert enabled.model_dump() == endpoint.model_dump(exclude={"secret"})


async def test_an_endpoint_shows_that_it_wants_all_and_until_when_older_secrets_sign(api: Api) -> None:
    endpoint = shown(EndpointWithSecret, await make(api), 201)
    assert (endpoint.events, endpoint.older_valid_until) == (None, None)
    rotated = shown(EndpointWithSecret, await api.call("POST", f"{ENDPOINTS}/{endpoint.id}/rotate"))
    assert rotated.older_valid_until is not None
    assert (
        shown(EndpointObject, await api.get(f"{ENDPOINTS}/{endpoint.id}")).older_valid_until
        == rotated.older_valid_until
    )


async def test_the_teams_own_secret_is_made_when_asked_for_and_rotated(api: Api) -> None:
    answer = await api.get("/v1/webhooks/secret")
    first = shown(SecretObject, answer)
    assert answer.headers["cache-control"] == "no-store"
    assert first == shown(SecretObject, await api.get("/v1/webhooks/secret"))
    assert first.older_valid_until is None
    second = shown(SecretObject, await api.call("POST", "/v1/webhooks/secret/rotate"))
    assert second.secret != first.secret
    assert second.older_valid_until is not None
    assert (await api.get("/v1/webhooks/secret", OTHER_KEY)).json["secret"] not in {first.secret, second.secret}


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        (b"{", None, "JSON"),
        (b"[]", None, "The body must be a JSON object; found an empty list."),
        ({}, "url", "required"),
        ({"url": 7}, "url", "string"),
        ({"url": "http://10.0.0.1/hook"}, "url", "not public"),
        ({"url": "https://localhost/hook"}, "url", "inside of a network"),
        ({"url": "ftp://example.com"}, "url", "its scheme is `ftp`; allowed: `https://`"),
        ({"url": URL, "events": ["job.done"]}, "events[0]", "'job.succeeded'"),
        ({"url": URL, "evnts": []}, "evnts", "Did you mean `events`?"),
    ],
)
async def test_a_bad_endpoint_is_refused_with_the_reason(api: Api, body: object, param: str | None, says: str) -> None:
    answer = await api.call("POST", ENDPOINTS, body=body, headers={"content-type": "application/json"})
    assert answer.status == 400
    assert answer.error["param"] == param
    assert says in answer.error["message"]
    assert b"canary" not in answer.body
    assert (await api.get(ENDPOINTS)).json["data"] == []


async def test_a_team_has_no_more_endpoints_than_are_allowed(api: Api) -> None:
    for _ in range(MOST_ENDPOINTS):
        await made(api)
    answer = await make(api)
    assert answer.status == 400
    assert str(MOST_ENDPOINTS) in answer.error["message"]


async def test_a_team_sees_no_webhook_of_another(api: Api) -> None:
    endpoint, delivery = await made(api), await begun(api)
    for method, path in (
        ("GET", f"{ENDPOINTS}/{endpoint.id}"),
        ("DELETE", f"{ENDPOINTS}/{endpoint.id}"),
        ("POST", f"{ENDPOINTS}/{endpoint.id}/rotate"),
        ("POST", f"{ENDPOINTS}/{endpoint.id}/enable"),
        ("GET", f"{DELIVERIES}/{delivery.id}"),
        ("POST", f"{DELIVERIES}/{delivery.id}/redeliver"),
    ):
        assert (await api.call(method, path, OTHER_KEY)).status == 404, path
        assert (await api.call(method, path.replace("e", "x"))).status == 404, path
    for path in (ENDPOINTS, DELIVERIES):
        assert (await api.get(path, OTHER_KEY)).json["data"] == []
    assert (await api.get(f"{ENDPOINTS}/{endpoint.id}")).status == 200
    assert api.queue.published == []


@pytest.mark.parametrize("scope", ["submit", "read", "admin"])
async def test_reading_needs_one_scope_and_changes_and_secrets_another(api: Api, scope: str) -> None:
    wish = {"team": TEAM, "scopes": [scope]}
    key = NewKeyObject.model_validate((await api.call("POST", "/v1/keys", ADMIN_KEY, wish)).json).key
    for method, path, needed in (
        ("POST", ENDPOINTS, "submit"),
        ("GET", ENDPOINTS, "read"),
        ("GET", f"{ENDPOINTS}/we_1", "read"),
        ("DELETE", f"{ENDPOINTS}/we_1", "submit"),
        ("POST", f"{ENDPOINTS}/we_1/rotate", "submit"),
        ("POST", f"{ENDPOINTS}/we_1/enable", "submit"),
        ("GET", "/v1/webhooks/secret", "submit"),
        ("POST", "/v1/webhooks/secret/rotate", "submit"),
        ("GET", DELIVERIES, "read"),
        ("GET", f"{DELIVERIES}/dlv_1", "read"),
        ("POST", f"{DELIVERIES}/dlv_1/redeliver", "submit"),
    ):
        assert ((await api.call(method, path, key)).status == 403) == (scope != needed), (method, path)
        assert (await api.call(method, path, None)).status == 401, (method, path)


async def test_deliveries_are_listed_with_each_attempt_and_filtered(api: Api) -> None:
    deliveries = [await begun(api, number, f"we_{number % 2}") for number in range(4)]
    attempt = DeliveryAttempt(1_700_000_009.0, 500, "a problem", 0.25)
    await api.parts.deliveries.note(deliveries[3], attempt, Ruling(DeliveryStatus.PENDING, 1_700_000_014.0))
    page = shown(DeliveryList, await api.get(DELIVERIES))
    assert [one.id for one in page.data] == [delivery.id for delivery in deliveries[::-1]]
    assert page.data[0].attempts[0].model_dump() == {
        "at": "2023-11-14T22:13:29.000Z",
        "status": 500,
        "problem": "a problem",
        "duration_s": 0.25,
    }
    assert page.data[0].next_attempt_at == "2023-11-14T22:13:34.000Z"
    assert shown(DeliveryObject, await api.get(f"{DELIVERIES}/{deliveries[3].id}")) == page.data[0]

    async def ids(query: str) -> list[int]:
        listed = shown(DeliveryList, await api.get(f"{DELIVERIES}?{query}"))
        return [int(one.subject.removeprefix("job_")) for one in listed.data]

    assert await ids("job=job_2") == [2]
    assert await ids("endpoint=we_1") == [3, 1]
    assert await ids("status=delivered") == []
    assert await ids("limit=2") == [3, 2]
    assert await ids(f"limit=2&after={deliveries[2].id}") == [1, 0]


async def test_a_bad_filter_is_refused(api: Api) -> None:
    for query, param in (("after=dlv_x", "after"), ("status=lost", "status"), ("limit=0", "limit")):
        answer = await api.get(f"{DELIVERIES}?{query}")
        assert (answer.status, answer.error["param"]) == (400, param)


async def test_redelivering_publishes_a_new_first_attempt_of_the_same_event(api: Api) -> None:
    delivery = await begun(api)
    attempt = DeliveryAttempt(1_700_000_009.0, 204, None, 0.25)
    await api.parts.deliveries.note(delivery, attempt, Ruling(DeliveryStatus.DELIVERED))
    anew = shown(DeliveryObject, await api.call("POST", f"{DELIVERIES}/{delivery.id}/redeliver"), 202)
    assert (anew.status, anew.event_id, len(anew.attempts)) == ("pending", delivery.event.id, 1)
    [published] = api.queue.published
    assert published.queue == Mailbox.WEBHOOKS.queue
    assert published.message == AttemptDue(TEAM, delivery.id, 2).message()

    again = await api.call("POST", f"{DELIVERIES}/{delivery.id}/redeliver")
    assert (again.status, again.error["code"]) == (409, "attempt_comes")
    assert len(api.queue.published) == 1


async def test_a_job_keeps_the_webhook_it_names(api: Api) -> None:
    answer = await api.submit(callback={"webhook": URL})
    assert answer.status == 202
    job = await api.job(answer.json["id"])
    assert job.spec.callback.webhook == URL
    await api.finish(job.spec.id)
    [notice] = await api.parts.outbox.pending(TEAM, [job.spec.id])
    assert notice.mailbox is Mailbox.WEBHOOKS


@pytest.mark.parametrize(
    ("callback", "param"),
    [
        ({"webhook": "https://169.254.169.254/latest"}, "callback.webhook"),
        ({"webhook": "nowhere"}, "callback.webhook"),
        ({"webhook": 7}, "callback.webhook"),
        ({"webhok": URL}, "callback.webhok"),
    ],
)
async def test_a_job_whose_webhook_cannot_be_one_is_refused(api: Api, callback: dict[str, Any], param: str) -> None:
    answer = await api.submit(callback=callback)
    assert (answer.status, answer.error["param"]) == (400, param)
    assert api.queue.published == []


async def test_a_batch_keeps_the_webhook_it_names(api: Api) -> None:
    line = b'{"request": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "x"}]}}'
    headers = {"content-type": "application/x-ndjson"}
    answer = await api.call("POST", f"/v1/jobs/bulk?webhook={URL}", body=line, headers=headers)
    assert answer.status == 202
    batch = await api.store.batch(TEAM, answer.json["batch_id"])
    assert batch is not None
    assert batch.webhook == URL
    refused = await api.call("POST", "/v1/jobs/bulk?webhook=http://localhost", body=line, headers=headers)
    assert (refused.status, refused.error["param"]) == (400, "webhook")


async def test_a_batch_that_has_ended_when_its_upload_does_is_told_at_once(api: Api) -> None:
    headers = {"content-type": "application/x-ndjson"}
    answer = await api.call("POST", f"/v1/jobs/bulk?webhook={URL}", body=b"oops", headers=headers)
    batch_id = answer.json["batch_id"]
    told = [(published.queue, published.message.job_id) for published in api.queue.published]
    assert told == [(Mailbox.WEBHOOKS.queue, batch_id)]
    assert await api.parts.outbox.pending(TEAM, [batch_id]) == []


async def test_a_batch_that_ends_twice_because_its_upload_went_on_has_two_events(api: Api) -> None:
    lines = [b'{"request": %b}' % str(CHAT).replace("'", '"').encode()] * 2
    ids = []
    for count in (1, 2):  # the first upload was cut after a line
        headers = {"content-type": "application/x-ndjson", "idempotency-key": "an upload"}
        path = f"/v1/jobs/bulk?webhook={URL}"
        batch_id = (await api.call("POST", path, body=b"\n".join(lines[:count]), headers=headers)).json["batch_id"]
        for job in (await api.get(f"/v1/jobs?batch={batch_id}&status=queued")).json["data"]:
            await api.finish(job["id"])
        batch = await api.store.batch(TEAM, batch_id)
        assert batch is not None
        assert batch.finished_at is not None
        ids.append(batch.reopened)
    assert ids == [0, 1]


@pytest.mark.hazard(22)
async def test_a_job_whose_time_is_over_is_answered_with_410(valkey_url: str) -> None:
    async with running_api(valkey_url, retention_s=0.001) as api:
        job_id = (await api.submit(**SUBMISSION, callback={"webhook": URL})).json["id"]
        await api.finish(job_id)
        assert (await api.get(f"/v1/jobs/{job_id}")).status == 200
        await api.redis.pexpire(of_team(TEAM).job(job_id), 1)

        async def is_gone() -> bool:
            return (await api.get(f"/v1/jobs/{job_id}")).status == 410

        await eventually(is_gone)
        assert (await api.get(f"/v1/jobs/{job_id}")).error["code"] == "job_expired"
