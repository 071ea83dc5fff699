"""What a team has in a class beyond its share waits in the surplus, on real parts."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import orjson
import pytest

from shared.domain.backlog import BacklogPolicy
from tests.eventually import eventually
from tests.integration.api_rig import CHAT, OTHER_KEY, SUBMISSION, Api, running_api
from tests.integration.test_api_jobs import in_the

SHARE = 5


@pytest.fixture
async def api(valkey_url: str) -> AsyncIterator[Api]:
    async with running_api(valkey_url, backlog=BacklogPolicy(surplus_after=SHARE, largest_after=SHARE)) as api:
        yield api


def classes(api: Api) -> list[str]:
    return [published.queue.job_class.name for published in api.queue.published]


def numbered(number: int, **fields: object) -> dict[str, object]:
    question = CHAT | {"messages": [{"role": "user", "content": f"Question {number}"}]}
    return SUBMISSION | {"request": question} | fields


async def test_the_jobs_of_a_team_beyond_its_share_wait_in_the_surplus(api: Api) -> None:
    for _ in range(SHARE + 2):
        await api.submit(priority="bulk", cache={"mode": "off"})
    assert classes(api) == ["bulk"] * SHARE + ["bulk.surplus"] * 2


async def test_a_quiet_team_waits_in_the_main_class_whatever_another_has_sent(api: Api) -> None:
    lines = [orjson.dumps(numbered(number, priority="bulk")) for number in range(300)]
    assert (await api.upload(lines)).json["accepted"] == 300
    assert Counter(classes(api)) == {"bulk": SHARE, "bulk.surplus": 300 - SHARE}
    await api.submit(key=OTHER_KEY, priority="bulk")
    assert classes(api)[-1] == "bulk"


async def test_a_team_that_comes_to_a_backlog_of_others_gets_more_places_than_who_made_it(valkey_url: str) -> None:
    policy = BacklogPolicy(surplus_after=50, largest_after=5)
    async with running_api(valkey_url, backlog=policy) as api:
        await api.upload([orjson.dumps(numbered(number, priority="bulk")) for number in range(100)])
        assert Counter(classes(api)) == {"bulk": 5, "bulk.surplus": 95}

        async def it_is_seen() -> bool:
            return bool((await api.get("/v1/lanes/gpt-4o-mini")).json["backlog"] >= 100)

        await eventually(it_is_seen)
        for _ in range(40):
            await api.submit(key=OTHER_KEY, cache={"mode": "off"}, priority="bulk")
        assert classes(api)[100:] == ["bulk"] * 40


async def test_each_class_and_each_lane_has_a_share_of_its_own(api: Api) -> None:
    for priority in ("bulk", "standard", "interactive"):
        for _ in range(SHARE):
            await api.submit(priority=priority, cache={"mode": "off"})
    await api.submit(request={"model": "embedder", "input": "x"}, endpoint="/v1/embeddings", priority="bulk")
    assert not any(name.endswith(".surplus") for name in classes(api))


async def test_deferrable_work_has_no_surplus(api: Api) -> None:
    for _ in range(SHARE + 2):
        await api.submit(priority="deferrable", within="25h", cache={"mode": "off"})
    assert set(classes(api)) == {"deferrable.24h"}


async def test_finished_and_cancelled_jobs_make_room_in_the_share(api: Api) -> None:
    made = [(await api.submit(cache={"mode": "off"})).json["id"] for _ in range(SHARE + 1)]
    await api.finish(made[0])
    await api.call("POST", f"/v1/jobs/{made[1]}/cancel")
    await api.submit(cache={"mode": "off"})
    assert classes(api) == ["standard"] * SHARE + ["standard.surplus", "standard"]


async def test_answers_from_the_cache_and_jobs_for_later_take_no_share(api: Api) -> None:
    first = await api.job((await api.submit()).json["id"])
    await api.know_the_answer(first.spec)
    for _ in range(SHARE):
        assert (await api.submit()).status == 200
        assert (await api.submit(run_at=in_the(timedelta(hours=1)))).json["status"] == "scheduled"
    for _ in range(SHARE - 1):
        await api.submit(cache={"mode": "off"})
    assert not any(name.endswith(".surplus") for name in classes(api))


async def test_a_submission_repeated_by_its_key_takes_one_place(api: Api) -> None:
    await asyncio.gather(*(api.submit(idempotency_key="k-1") for _ in range(20)))
    for _ in range(SHARE - 1):
        await api.submit(cache={"mode": "off"})
    assert not any(name.endswith(".surplus") for name in classes(api))


async def test_a_job_that_was_not_accepted_gives_its_place_back(api: Api) -> None:
    api.queue.away_after = 0
    for _ in range(SHARE + 1):
        assert (await api.submit(cache={"mode": "off"})).status == 503
    api.queue.away_after = None
    await api.submit(cache={"mode": "off"})
    assert classes(api) == ["standard"]
