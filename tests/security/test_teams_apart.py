"""Row 29: no team reads, lists or cancels what is another's. Every id, every key."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import orjson
import pytest

from shared.domain import ids
from shared.domain.job import JobStatus
from tests.integration.api_rig import ADMIN_KEY, CHAT, Api, running_api

TEAMS = ("red", "blue", "{red}", "red}", "re", "red:job", "default2", "*")


@dataclass(frozen=True)
class Belongings:
    """What one team has."""

    team: str
    key: str
    job: str
    batch: str


@pytest.fixture
async def api(valkey_url: str) -> AsyncIterator[Api]:
    async with running_api(valkey_url) as api:
        yield api


async def belongings(api: Api, team: str, number: int) -> Belongings:
    made = await api.call("POST", "/v1/keys", ADMIN_KEY, {"team": team})
    key = made.json["key"]
    job = await api.submit(key=key, request=CHAT | {"seed": number}, idempotency_key="the same for all")
    line = orjson.dumps({"request": CHAT | {"seed": number}})
    batch = await api.upload([line], key=key, idempotency_key="the same for all")
    assert (made.status, job.status, batch.status) == (201, 202, 202)
    return Belongings(team, key, job.json["id"], batch.json["batch_id"])


async def test_nothing_of_one_team_is_read_listed_or_cancelled_by_another(api: Api) -> None:
    everyone = [await belongings(api, team, number) for number, team in enumerate(TEAMS)]
    assert len({one.job for one in everyone} | {one.batch for one in everyone}) == 2 * len(everyone)
    strangers = [one.key for one in everyone]
    for owner in everyone:
        for key in (*strangers, ADMIN_KEY):
            expected = 200 if key == owner.key else 404
            for method, path in (
                ("GET", f"/v1/jobs/{owner.job}"),
                ("GET", f"/v1/batches/{owner.batch}"),
                ("GET", f"/v1/jobs?batch={owner.batch}"),
                *([("POST", f"/v1/jobs/{owner.job}/cancel")] if key != owner.key else []),
                *([("GET", f"/v1/jobs/{owner.job}/events")] if key != owner.key else []),
            ):
                answer = await api.call(method, path, key)
                assert answer.status == expected, (owner.team, method, path)
                if expected == 404:
                    assert answer.error["code"] == "not_found"
        assert (await api.job(owner.job, owner.team)).status is JobStatus.QUEUED


async def test_a_list_holds_the_team_s_own_jobs_and_no_others(api: Api) -> None:
    everyone = [await belongings(api, team, number) for number, team in enumerate(TEAMS)]
    for owner in everyone:
        listed = (await api.get("/v1/jobs?limit=1000", owner.key)).json["data"]
        assert owner.job in {job["id"] for job in listed}
        assert len(listed) == 2
        assert not {other.job for other in everyone if other is not owner} & {job["id"] for job in listed}
    assert (await api.get("/v1/jobs", ADMIN_KEY)).json["data"] == []


async def test_what_is_another_team_s_looks_as_if_it_were_not_there(api: Api) -> None:
    one, other = await belongings(api, "red", 1), await belongings(api, "blue", 2)
    stranger = await api.get(f"/v1/jobs/{one.job}", other.key)
    nobody_s = ids.new_id("job", api.parts.clock.now())
    nothing = await api.get(f"/v1/jobs/{nobody_s}", other.key)
    assert stranger.status == nothing.status
    assert stranger.body.replace(one.job.encode(), nobody_s.encode()) == nothing.body


async def test_an_answer_kept_for_one_team_answers_no_other(api: Api) -> None:
    one, other = await belongings(api, "red", 1), await belongings(api, "blue", 1)
    await api.know_the_answer((await api.job(one.job, "red")).spec, CHAT | {"seed": 1})
    asked = [await api.submit(key=key, request=CHAT | {"seed": 1}) for key in (one.key, other.key)]
    assert [answer.status for answer in asked] == [200, 202]
