"""The limits of our own users, at the API's door."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from shared.domain.allowances import UNLIMITED, Allowance, OnLimit, Policies, TeamPolicy, Terms
from shared.domain.clock import SystemClock
from shared.domain.errors import BrokerUnavailable
from shared.domain.job import JobStatus
from shared.wire import envelope
from tests.integration.api_rig import ADMIN_KEY, CHAT, OTHER_KEY, OTHER_TEAM, TEAM, Answer, Api, running_api
from tests.servers.valkey import PrivateValkey


def in_the(future: timedelta) -> str:
    return (datetime.now(UTC) + future).isoformat()  # noqa: TID251 - a client has its own clock


def chat(number: int = 0, **members: object) -> dict[str, Any]:
    """A request that differs from every other."""
    return CHAT | {"seed": number} | members


def agreed(ceiling: Allowance = UNLIMITED, *, terms: Terms | None = None, **team: Any) -> Policies:  # noqa: ANN401 - each field has its type
    return Policies(ceiling, {TEAM: TeamPolicy(terms or Terms(), **team)})


@asynccontextmanager
async def limited(url: str, ceiling: Allowance = UNLIMITED, **changes: Any) -> AsyncIterator[Api]:  # noqa: ANN401 - as above
    async with running_api(url, policies=agreed(ceiling, **changes)) as api:
        yield api


async def accepted(api: Api, count: int, **fields: Any) -> list[Answer]:  # noqa: ANN401 - as above
    """Submit so many different jobs, one after the other."""
    return [await api.submit(request=chat(number), **fields) for number in range(count)]


async def test_over_a_limit_the_answer_says_which_limit_of_whom_and_when_to_come_back(valkey_url: str) -> None:
    async with limited(valkey_url, terms=Terms(Allowance(requests_per_minute=2))) as api:
        assert [answer.status for answer in await accepted(api, 2)] == [202, 202]
        over = await api.submit(request=chat(2))
        assert over.status == 429
        assert (over.error["type"], over.error["code"]) == ("rate_limit_error", "limit_exceeded")
        assert f"team {TEAM}: 2 requests per minute" in over.error["message"]
        assert 1 <= int(over.headers["retry-after"]) <= 30
        assert len(api.queue.published) == 2
        assert len((await api.get("/v1/jobs")).json["data"]) == 2
        assert (await api.submit(key=OTHER_KEY)).status == 202


async def test_users_and_features_have_limits_of_their_own(valkey_url: str) -> None:
    one = Allowance(requests_per_day=1)
    async with limited(valkey_url, each_user=one, features={"titles": one}) as api:
        for attribution, named in (
            ({"user": "u-1"}, f"user u-1 of team {TEAM}"),
            ({"user": "u-2", "feature": "titles"}, f"user u-2 of team {TEAM}"),
            ({"user": "u-3", "feature": "titles"}, None),
        ):
            answers = await accepted(api, 2, attribution=attribution)
            if named is None:
                assert answers[0].status == 429
                assert f"feature titles of team {TEAM}: 1 requests per day" in answers[0].error["message"]
            else:
                assert [answer.status for answer in answers] == [202, 429]
                assert named in answers[1].error["message"]
        assert [answer.status for answer in await accepted(api, 3, attribution={"feature": "tags"})] == [202] * 3


async def test_the_ceiling_holds_for_every_team_and_for_the_administrator(valkey_url: str) -> None:
    async with limited(valkey_url, Allowance(requests_per_day=2)) as api:
        statuses = [(await api.submit(key=key)).status for key in (ADMIN_KEY, OTHER_KEY, OTHER_KEY)]
        assert statuses == [202, 202, 429]


async def test_a_key_s_limit_holds_beside_its_team_s(valkey_url: str) -> None:
    async with limited(valkey_url, terms=Terms(Allowance(requests_per_day=10))) as api:
        wish = {"team": TEAM, "limits": {"rpd": 1}}
        key = (await api.call("POST", "/v1/keys", ADMIN_KEY, wish)).json
        assert (await api.submit(key=key["key"], request=chat(1))).status == 202
        over = await api.submit(key=key["key"], request=chat(2))
        assert f"key {key['id']}: 1 requests per day" in over.error["message"]
        assert [answer.status for answer in await accepted(api, 10)] == [202] * 9 + [429]


async def test_two_hundred_at_once_where_there_is_room_for_ten_are_exactly_ten(valkey_url: str) -> None:
    async with (
        limited(valkey_url, Allowance(requests_per_day=500), terms=Terms(Allowance(requests_per_day=10))) as api,
        limited_again(valkey_url, api) as other,
    ):
        answers = await asyncio.gather(
            *((api, other)[number % 2].submit(request=chat(number)) for number in range(200))
        )
        statuses = [answer.status for answer in answers]
        assert (statuses.count(202), statuses.count(429)) == (10, 190)
        assert len((await api.get("/v1/jobs?limit=1000")).json["data"]) == 10


@asynccontextmanager
async def limited_again(url: str, api: Api, **changes: Any) -> AsyncIterator[Api]:  # noqa: ANN401 - as above
    """A second process of the same installation."""
    async with running_api(url, policies=api.parts.policies, **changes) as other:
        yield other


class SkewedClock(SystemClock):
    """The clock of a machine that is wrong by so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def now(self) -> float:
        return super().now() + self._seconds


async def test_two_processes_whose_clocks_differ_by_ten_minutes_share_one_limit(valkey_url: str) -> None:
    """Row 35: the store's clock counts."""
    async with (
        limited(valkey_url, terms=Terms(Allowance(requests_per_day=4))) as api,
        limited_again(valkey_url, api, clock=SkewedClock(300)) as ahead,
        limited_again(valkey_url, api, clock=SkewedClock(-300)) as behind,
    ):
        statuses = [
            (await process.submit(request=chat(number))).status
            for number, process in enumerate((ahead, behind, ahead, behind, ahead, behind))
        ]
        assert statuses == [202] * 4 + [429] * 2


async def test_where_the_policy_says_queue_a_job_waits_for_its_turn(valkey_url: str) -> None:
    terms = Terms(Allowance(requests_per_day=24), OnLimit.QUEUE)
    async with limited(valkey_url, terms=terms) as api:
        at_once = await accepted(api, 24)
        assert {answer.json["status"] for answer in at_once} == {"queued"}
        later = [await api.submit(request=chat(100 + number)) for number in range(2)]
        assert [answer.json["status"] for answer in later] == ["scheduled"] * 2
        delays = [published.delay_s for published in api.queue.published[24:]]
        assert delays == pytest.approx([3_600, 3_600], abs=60)  # whoever waits for longer comes by once an hour
        carried = envelope.decode(api.queue.published[-1].message.body).spec
        assert carried.run_at == pytest.approx(carried.created_at + 7_200, abs=60)
        assert carried == (await api.job(carried.id)).spec
        assert later[1].json["estimated_start_at"] is not None


async def test_a_turn_that_comes_after_the_deadline_is_refused_instead(valkey_url: str) -> None:
    terms = Terms(Allowance(requests_per_day=1), OnLimit.QUEUE)
    async with limited(valkey_url, terms=terms) as api:
        await api.submit()
        late = await api.submit(request=chat(1), within="23h")
        assert late.status == 429
        assert "after its deadline" in late.error["message"]
        assert int(late.headers["retry-after"]) == pytest.approx(86_400, abs=60)
        assert (await api.submit(request=chat(1), within="25h")).json["status"] == "scheduled"


async def test_a_job_for_later_keeps_its_time_if_its_turn_comes_before(valkey_url: str) -> None:
    terms = Terms(Allowance(requests_per_minute=60), OnLimit.QUEUE)
    async with limited(valkey_url, terms=terms) as api:
        await accepted(api, 61)
        await api.submit(request=chat(100), run_at=in_the(timedelta(minutes=5)))
        assert api.queue.published[-1].delay_s == pytest.approx(300, abs=5)


async def test_a_key_may_queue_where_its_team_is_refused(valkey_url: str) -> None:
    async with limited(valkey_url, terms=Terms(Allowance(requests_per_day=1))) as api:
        patient = (await api.call("POST", "/v1/keys", ADMIN_KEY, {"team": TEAM, "on_limit": "queue"})).json["key"]
        await api.submit()
        assert (await api.submit(request=chat(1))).status == 429
        assert (await api.submit(key=patient, request=chat(1))).json["status"] == "scheduled"


async def test_a_line_over_the_limit_is_rejected_alone(valkey_url: str) -> None:
    async with limited(valkey_url, terms=Terms(Allowance(requests_per_day=300))) as api:
        answer = await api.upload([orjson.dumps({"request": chat(number)}) for number in range(500)])
        assert answer.status == 202
        assert answer.json["accepted"] == 300
        assert len(answer.json["rejected"]) == 200
        error = answer.json["rejected"][0]["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "limit_exceeded")
        assert f"team {TEAM}: 300 requests per day" in error["message"]


async def test_a_repeat_with_its_idempotency_key_costs_nothing_even_over_the_limit(valkey_url: str) -> None:
    both = Allowance(requests_per_day=2)
    async with limited(valkey_url, both, terms=Terms(both)) as api:
        first = await api.submit(idempotency_key="k-1")
        repeats = [await api.submit(idempotency_key="k-1") for _ in range(5)]
        assert {answer.json["id"] for answer in repeats} == {first.json["id"]}
        assert (await api.submit(request=chat(1))).status == 202
        assert (await api.submit(request=chat(2))).status == 429
        assert (await api.submit(idempotency_key="k-1")).json["id"] == first.json["id"]
        assert (await api.submit(idempotency_key="k-1", request=chat(3))).status == 409


async def test_equal_keys_at_the_same_moment_are_charged_once(valkey_url: str) -> None:
    async with limited(valkey_url, terms=Terms(Allowance(requests_per_day=100))) as api:
        async with limited_again(valkey_url, api) as other:
            answers = await asyncio.gather(
                *((api, other)[number % 2].submit(idempotency_key="same") for number in range(40))
            )
        assert len({answer.json["id"] for answer in answers}) == 1
        statuses = [(await api.submit(request=chat(number))).status for number in range(100)]
        assert statuses == [202] * 99 + [429]


async def test_a_job_that_the_broker_did_not_take_is_not_charged(valkey_url: str) -> None:
    async with limited(valkey_url, terms=Terms(Allowance(requests_per_day=1))) as api:
        api.queue.away_after, api.queue.fails_with = 0, BrokerUnavailable
        assert (await api.submit()).status == 503
        api.queue.away_after = None
        assert (await api.submit()).status == 202


async def test_a_job_that_the_broker_did_not_take_and_has_a_key_is_charged_when_it_first_came(valkey_url: str) -> None:
    async with limited(valkey_url, terms=Terms(Allowance(requests_per_day=1))) as api:
        api.queue.away_after, api.queue.fails_with = 0, BrokerUnavailable
        assert (await api.submit(idempotency_key="k")).status == 503
        api.queue.away_after = None
        assert (await api.submit(idempotency_key="k")).status == 202
        assert (await api.submit(request=chat(1))).status == 429


async def test_an_answer_from_the_cache_costs_a_request_and_no_tokens(valkey_url: str) -> None:
    terms = Terms(Allowance(requests_per_day=3, tokens_per_day=400))
    async with limited(valkey_url, terms=terms) as api:
        first = await api.submit()
        spec = (await api.job(first.json["id"])).spec
        assert spec.charged_tokens == pytest.approx(261, abs=5)
        await api.know_the_answer(spec)
        assert (await api.submit(request=chat(1))).status == 429  # no tokens are left for another question
        assert (await api.submit()).status == 200
        assert (await api.submit()).status == 200
        over = await api.submit()
        assert "3 requests per day" in over.error["message"]


async def test_a_known_answer_that_has_to_wait_for_its_turn_is_fetched_then(valkey_url: str) -> None:
    terms = Terms(Allowance(requests_per_minute=1, tokens_per_day=9_000), OnLimit.QUEUE)
    async with limited(valkey_url, terms=terms) as api:
        first = await api.submit()
        await api.know_the_answer((await api.job(first.json["id"])).spec)
        waiting = await api.submit()
        assert (waiting.status, waiting.json["status"]) == (202, "scheduled")
        assert (await api.job(waiting.json["id"])).spec.charged_tokens == 0


async def test_a_job_that_was_cancelled_before_it_ran_gives_its_tokens_back(valkey_url: str) -> None:
    terms = Terms(Allowance(tokens_per_day=300))
    async with limited(valkey_url, terms=terms) as api:
        job = (await api.submit()).json["id"]
        assert (await api.submit(request=chat(1))).status == 429
        for _ in range(3):
            await api.call("POST", f"/v1/jobs/{job}/cancel")
        assert (await api.submit(request=chat(1))).status == 202
        assert (await api.submit(request=chat(2))).status == 429


async def test_a_job_that_was_cancelled_while_it_ran_does_not(valkey_url: str) -> None:
    async with limited(valkey_url, terms=Terms(Allowance(tokens_per_day=300))) as api:
        job = await api.job((await api.submit()).json["id"])
        await api.store.claim(job.spec, "worker-1")
        assert (await api.call("POST", f"/v1/jobs/{job.spec.id}/cancel")).json["status"] == "cancelled"
        assert (await api.submit(request=chat(1))).status == 429


async def test_who_asks_for_more_tokens_than_allowed_is_told_the_estimate_and_the_limit(valkey_url: str) -> None:
    long = {"messages": [{"role": "user", "content": "word " * 400}]}
    async with limited(valkey_url, terms=Terms(max_input_tokens=400, max_output_tokens=100)) as api:
        over = await api.submit(request=CHAT | long)
        assert over.status == 400
        assert (over.error["param"], over.error["code"]) == ("request.messages", "token_limit_exceeded")
        assert "about 501 tokens" in over.error["message"]
        assert "at most 400" in over.error["message"]
        for name in ("max_tokens", "max_completion_tokens"):
            answer = await api.submit(request=chat(**{name: 101}))
            assert (answer.status, answer.error["param"]) == (400, f"request.{name}")
            assert (await api.submit(request=chat(**{name: 100}))).status == 202
        assert (await api.submit(key=OTHER_KEY, request=CHAT | long)).status == 202


async def test_a_request_that_bounds_nothing_is_bounded(valkey_url: str) -> None:
    async with limited(valkey_url, terms=Terms(max_output_tokens=100)) as api:
        key = (await api.call("POST", "/v1/keys", ADMIN_KEY, {"team": TEAM, "max_output_tokens": 40})).json["key"]
        await api.submit()
        await api.submit(key=key)
        await api.submit(request={"model": "embedder", "input": "x"}, endpoint="/v1/embeddings")
        sent = [envelope.decode(published.message.body).request for published in api.queue.published]
        assert [request.get("max_tokens") for request in sent] == [100, 40, None]


async def test_while_the_store_is_away_nobody_gets_past_a_limit(private_valkey: PrivateValkey) -> None:
    """Row 11: it fails closed."""
    async with limited(private_valkey.url, terms=Terms(Allowance(requests_per_minute=60))) as api:
        private_valkey.freeze()
        answer = await api.submit()
        private_valkey.thaw()
        assert answer.status == 503
        assert api.queue.published == []


class StillClock(SystemClock):
    """With this nothing is looked at a second time because a second has gone by."""

    def monotonic(self) -> float:
        return 0.0


async def test_limits_cost_a_submission_one_round_trip_more(valkey_url: str) -> None:
    counts = {}
    for name, policies in (
        ("open", Policies()),
        ("limited", agreed(Allowance(requests_per_day=900), terms=Terms(Allowance(1_000, 10**6, 1_000, 10**6)))),
    ):
        async with running_api(valkey_url, policies=policies, clock=StillClock()) as api:
            await accepted(api, 2)  # the scripts are known, and the key is remembered
            before = await reads(api)
            await accepted(api, 50)
            counts[name] = await reads(api) - before
    assert 40 <= counts["limited"] - counts["open"] <= 60


async def reads(api: Api) -> int:
    """How often the server has read from a client: once a round trip."""
    return int((await api.redis.info("stats"))["total_reads_processed"])


async def test_a_group_takes_its_allowances_in_one_round_trip(valkey_url: str) -> None:
    everything = agreed(Allowance(requests_per_day=9_000), terms=Terms(Allowance(9_000, 10**7, 9_000, 10**7)))
    counts = {}
    for name, policies in (("open", Policies()), ("limited", everything)):
        async with running_api(valkey_url, policies=policies, clock=StillClock()) as api:
            await api.upload([orjson.dumps({"request": chat(number)}) for number in range(128)])
            before = await reads(api)
            await api.upload([orjson.dumps({"request": chat(number)}) for number in range(128)])
            counts[name] = await reads(api) - before
    assert counts["limited"] - counts["open"] <= 8  # a round trip of this length may be read in a few pieces


async def test_another_team_s_limit_is_nobody_else_s(valkey_url: str) -> None:
    policies = Policies(teams={OTHER_TEAM: TeamPolicy(Terms(Allowance(requests_per_day=0)))})
    async with running_api(valkey_url, policies=policies) as api:
        shut = await api.submit(key=OTHER_KEY)
        assert (shut.status, "Nothing is let in." in shut.error["message"]) == (429, True)
        job = await api.job((await api.submit()).json["id"])
        assert job.status is JobStatus.QUEUED
        assert replace(job.spec, charged_tokens=None) == job.spec
