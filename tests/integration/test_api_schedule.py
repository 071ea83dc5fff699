"""What the scheduler does, as administrators see it, on real parts."""

from typing import Any

from producer_api.schedule_schemas import ScheduleObject
from shared.domain.schedule import Firing, PlannedDuty, Result
from tests.integration.api_rig import ADMIN_KEY, KEY, Api


async def seen(api: Api) -> dict[str, Any]:
    answer = await api.get("/v1/schedule", ADMIN_KEY)
    assert answer.status == 200
    document: dict[str, Any] = answer.json
    ScheduleObject.model_validate(document)
    return document


async def test_nothing_ran_before_the_first_scheduler(api: Api) -> None:
    assert await seen(api) == {"object": "schedule", "leader": None, "duties": []}


async def test_an_administrator_sees_who_leads_what_runs_when_and_what_it_did(api: Api) -> None:
    now = api.parts.clock.now()
    schedule = api.parts.schedule
    term = await schedule.lead("host-1-ab", 30.0)
    assert term == 1
    await schedule.publish("host-1-ab", term, [PlannedDuty("rest", "every 1h", None)])
    for ago, result in ((21, Result(3, {"gpt-4o": 3})), (11, Result(error="The store is away.")), (1, None)):
        firing = Firing("mend things", now - ago, "every 10s", now + 9)
        await schedule.begin("host-1-ab", term, firing)
        if result is not None:
            await schedule.end(term, firing, result)
    document = await seen(api)
    leader = document["leader"]
    assert (leader["name"], leader["term"], leader["is_leading"]) == ("host-1-ab", 1, True)
    assert leader["since"] < leader["until"]
    mend, rest = document["duties"]
    assert rest == {"name": "rest", "times": "every 1h", "next_run_at": None, "last_runs": []}
    assert (mend["name"], mend["times"], mend["next_run_at"] > leader["since"]) == ("mend things", "every 10s", True)
    assert [(run["did"], run["did_of"], run["error"], run["ended_at"] is None) for run in mend["last_runs"]] == [
        (None, {}, None, True),
        (0, {}, "The store is away.", False),
        (3, {"gpt-4o": 3}, None, False),
    ]
    assert {(run["by"], run["term"]) for run in mend["last_runs"]} == {("host-1-ab", 1)}


async def test_who_led_last_is_shown_when_nobody_leads(api: Api) -> None:
    await api.parts.schedule.lead("host-1-ab", 30.0)
    await api.parts.schedule.resign("host-1-ab")
    leader = (await seen(api))["leader"]
    assert (leader["name"], leader["is_leading"]) == ("host-1-ab", False)


async def test_the_schedule_is_the_administrators_business(api: Api) -> None:
    assert (await api.get("/v1/schedule", KEY)).status == 403
    assert (await api.get("/v1/schedule", "fb-nobody")).status == 401
