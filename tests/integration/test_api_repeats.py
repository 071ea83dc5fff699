"""Submissions that come again: after a restart of the store, after their deadline, after an answer that was lost."""

import pytest

from producer_api import withdrawals
from shared.adapters.redis.connection import connect
from shared.adapters.redis.job_store import RedisJobStore
from shared.adapters.redis.job_upkeep import RedisJobUpkeep
from shared.adapters.redis.keys import of_team
from shared.domain.allowances import Allowance, Policies, TeamPolicy, Terms
from shared.domain.job import JobStatus, Outcome
from shared.domain.lanes import Mailbox
from shared.wire.moments import format_moment
from tests.eventually import eventually
from tests.integration.api_rig import ANSWER, TEAM, Api, running_api
from tests.servers.valkey import PrivateValkey


async def only_job(api: Api) -> str:
    [job] = (await api.get("/v1/jobs")).json["data"]
    return str(job["id"])


async def only_record(api: Api) -> str:
    """Give the job that there is a record of, though it may be withdrawn by now, and listed no more."""
    [record] = [key async for key in api.redis.scan_iter(match=of_team(TEAM).job("*"))]
    return str(record.decode().removeprefix(of_team(TEAM).job("")))


async def test_a_repeat_is_the_first_job_though_the_store_was_killed_and_restarted_in_between(
    private_valkey: PrivateValkey,
) -> None:
    async with running_api(private_valkey.url) as api:
        first = (await api.submit(idempotency_key="k")).json
    await private_valkey.kill()
    await private_valkey.start()
    async with running_api(private_valkey.url) as api:
        again = await api.submit(idempotency_key="k")
        assert (again.status, again.json["id"]) == (202, first["id"])
        assert (await api.submit(idempotency_key="k", priority="bulk")).status == 409
        assert await only_job(api) == first["id"]
        assert api.queue.published == []


async def test_a_repeat_is_the_first_job_though_its_deadline_has_passed(api: Api) -> None:
    deadline = api.parts.clock.now() + 0.4
    body = {"deadline": format_moment(deadline)}
    first = await api.submit(idempotency_key="k", **body)
    assert first.status == 202

    async def is_expired() -> bool:
        return bool(await RedisJobUpkeep(api.redis).expire(9))

    await eventually(is_expired)
    again = await api.submit(idempotency_key="k", **body)
    assert (again.status, again.json["id"], again.json["status"]) == (200, first.json["id"], "expired")
    assert (await api.submit(**body)).error["param"] == "deadline"
    assert (await api.submit(idempotency_key="another", **body)).error["param"] == "deadline"
    assert (await api.submit(idempotency_key="k", **body, priority="bulk")).error["param"] == "deadline"


async def test_a_job_that_was_recorded_though_its_client_was_refused_is_withdrawn(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(withdrawals, "AGAIN_AFTER_S", 0.1)
    api.store.loses_answers = True
    assert (await api.submit()).status == 503
    api.store.loses_answers = False
    recorded = await only_record(api)

    async def is_withdrawn() -> bool:
        return (await api.job(recorded)).status is JobStatus.CANCELLED

    await eventually(is_withdrawn)
    assert (await api.get("/v1/jobs")).json["data"] == []
    assert await api.store.stranded(0.0, 9) == []
    next_try = await api.submit()
    assert (next_try.status, next_try.json["id"] != recorded) == (202, True)


async def test_a_batch_that_ends_by_the_withdrawal_of_its_last_job_is_told(api: Api) -> None:
    api.store.loses_answers = True
    line = b'{"request": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "x"}]}}'
    assert (await api.upload([line], query="?webhook=https://example.com/hook")).status == 503
    api.store.loses_answers = False

    async def is_told() -> bool:
        return bool(api.queue.published)

    await eventually(is_told)
    [(queue, batch_id)] = {(published.queue, published.message.job_id) for published in api.queue.published}
    batch = await api.store.batch(TEAM, batch_id)
    assert batch is not None
    assert (queue, batch.is_open, batch.total) == (Mailbox.WEBHOOKS.queue, False, 0)


async def test_with_an_idempotency_key_it_waits_for_its_clients_next_try(api: Api) -> None:
    api.store.loses_answers = True
    assert (await api.submit(idempotency_key="k")).status == 503
    assert (await api.submit()).status == 503  # withdrawn after the other would be
    api.store.loses_answers = False

    async def one_is_withdrawn() -> bool:
        jobs = (await api.get("/v1/jobs")).json["data"]
        return [job["status"] for job in jobs] == ["queued"]

    await eventually(one_is_withdrawn)
    assert (await api.submit(idempotency_key="k")).status == 202
    assert len(api.queue.published) == 1


async def test_who_was_refused_by_an_absent_store_has_its_tokens_back(valkey_url: str) -> None:
    policies = Policies(teams={TEAM: TeamPolicy(Terms(Allowance(tokens_per_day=20)))})
    async with running_api(valkey_url, policies=policies) as api:
        api.store.loses_answers = True
        assert (await api.submit()).status == 503
        api.store.loses_answers = False

        async def is_let_in() -> bool:
            return (await api.submit()).status == 202

        await eventually(is_let_in)
        assert (await api.submit()).status == 429


@pytest.mark.hazard(22)
async def test_a_result_is_kept_for_the_retention_from_its_end_and_is_410_afterwards(valkey_url: str) -> None:
    client = connect(valkey_url)
    brief, retention_s = RedisJobStore(client, retention_s=0.5), 0.5
    async with running_api(valkey_url, store=brief, retention_s=retention_s) as api:
        job_id = (await api.submit(idempotency_key="k")).json["id"]
        job = await api.job(job_id)
        while api.parts.clock.now() < job.spec.created_at + 2 * retention_s:  # it takes longer than it will be kept
            assert (await api.get(f"/v1/jobs/{job_id}?wait=0.2")).status == 200
        claim = await brief.claim(job.spec, "w1")
        assert await brief.finish(job.spec, claim.fence, Outcome(JobStatus.SUCCEEDED, response=ANSWER), ())
        finished = (await api.get(f"/v1/jobs/{job_id}")).json
        assert (finished["status"], finished["response"]) == ("succeeded", ANSWER)
        assert (await api.submit(idempotency_key="k")).json["id"] == job_id

        async def is_gone() -> bool:
            return (await api.get(f"/v1/jobs/{job_id}")).status == 410

        await eventually(is_gone)
        assert "0.5s" in (await api.get(f"/v1/jobs/{job_id}")).error["message"]
        assert (await api.call("POST", f"/v1/jobs/{job_id}/cancel")).status == 410
        assert (await api.submit(idempotency_key="k")).json["id"] != job_id
    await client.aclose()
