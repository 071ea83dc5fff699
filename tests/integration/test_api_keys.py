"""Keys: who may make them, what they open, and that a revoked one opens nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from producer_api.schemas import KeyList, KeyObject, NewKeyObject
from shared.adapters.redis.api_keys import RedisApiKeys
from shared.adapters.redis.connection import connect
from shared.domain import ids
from shared.domain.api_keys import StoredKeyring
from shared.domain.clock import SystemClock
from shared.wire import envelope
from tests.eventually import eventually
from tests.integration.api_rig import ADMIN_KEY, CHAT, KEY, SUBMISSION, Answer, Api, running_api

UNKNOWN = "key_01k9zzzzzzzzzzzzzzzzzzzzzz"


async def make(api: Api, **wish: object) -> Answer:
    return await api.call("POST", "/v1/keys", ADMIN_KEY, {"team": "green", **wish})


async def made(api: Api, **wish: object) -> NewKeyObject:
    answer = await make(api, **wish)
    assert answer.status == 201, answer.body
    return NewKeyObject.model_validate(answer.json)


async def test_a_key_is_shown_once_and_opens_what_its_team_has(api: Api) -> None:
    answer = await make(api, name="nightly", limits={"rpm": 600}, on_limit="queue", max_output_tokens=50)
    key = NewKeyObject.model_validate(answer.json)
    assert (key.team, key.name, key.scopes) == ("green", "nightly", ["submit", "read"])
    assert (key.limits.rpm, key.limits.tpd, key.on_limit, key.max_output_tokens) == (600, None, "queue", 50)
    assert key.key.startswith("fb-")
    assert len(key.key) == 46
    assert answer.headers["cache-control"] == "no-store"

    job = (await api.submit(key=key.key)).json
    assert (await api.get(f"/v1/jobs/{job['id']}", key.key)).status == 200
    assert (await api.job(job["id"], "green")).spec.key_id == key.id
    assert envelope.decode(api.queue.published[0].message.body).spec.key_id == key.id

    listed = await api.get("/v1/keys", ADMIN_KEY)
    [shown] = KeyList.model_validate(listed.json).data
    assert shown.id == key.id
    assert key.key.startswith(shown.hint.removesuffix("…"))
    assert key.key.encode() not in listed.body


async def test_a_key_without_scopes_named_submits_and_reads_and_has_no_other_terms(api: Api) -> None:
    key = await made(api)
    assert key.scopes == ["submit", "read"]
    assert set(key.limits.model_dump().values()) == {None}
    assert (key.on_limit, key.max_input_tokens, key.max_output_tokens, key.revoked_at) == (None, None, None, None)


CALLS = [
    ("POST", "/v1/jobs", "submit"),
    ("POST", "/v1/jobs/bulk", "submit"),
    ("POST", "/v1/jobs/job_01k9zzzzzzzzzzzzzzzzzzzzzz/cancel", "submit"),
    ("GET", "/v1/jobs", "read"),
    ("GET", "/v1/jobs/job_01k9zzzzzzzzzzzzzzzzzzzzzz", "read"),
    ("GET", "/v1/batches/batch_01k9zzzzzzzzzzzzzzzzzzzzzz", "read"),
    ("POST", "/v1/keys", "admin"),
    ("GET", "/v1/keys", "admin"),
    ("DELETE", f"/v1/keys/{UNKNOWN}", "admin"),
    ("POST", f"/v1/keys/{UNKNOWN}/revoke", "admin"),
    ("GET", "/v1/dead-letters", "admin"),
    ("POST", "/v1/dead-letters/drop", "admin"),
]


@pytest.mark.parametrize("scope", ["submit", "read", "admin"])
async def test_a_key_does_what_its_scope_says_and_nothing_else(api: Api, scope: str) -> None:
    key = await made(api, scopes=[scope])
    for method, path, needed in CALLS:
        kind = "application/x-ndjson" if path.endswith("bulk") else "application/json"
        body = b"{}" if method == "POST" and not path.endswith(("cancel", "revoke")) else None
        answer = await api.call(method, path, key.key, body, {"content-type": kind} if body else {})
        if scope == needed:
            assert answer.status != 403, (method, path)
        else:
            assert answer.status == 403, (method, path)
            assert (answer.error["type"], answer.error["code"]) == ("permission_error", "not_allowed")
            assert f"lacks the scope `{needed}`; it has `{scope}`" in answer.error["message"]


async def test_any_key_may_ask_which_models_there_are(api: Api) -> None:
    key = await made(api, scopes=["submit"])
    assert (await api.get("/v1/models", key.key)).status == 200


async def test_an_ordinary_key_makes_no_keys(api: Api) -> None:
    assert (await api.call("POST", "/v1/keys", KEY, {"team": "red"})).status == 403
    assert (await api.get("/v1/keys", ADMIN_KEY)).json["data"] == []


async def test_a_revoked_key_opens_nothing_after_a_second(api: Api) -> None:
    key, other = await made(api), await made(api)
    assert (await api.get("/v1/jobs", key.key)).status == 200
    loop = asyncio.get_running_loop()
    revoked = KeyObject.model_validate((await api.call("DELETE", f"/v1/keys/{key.id}", ADMIN_KEY)).json)
    begin = loop.time()

    async def a_second_is_over() -> bool:
        return loop.time() >= begin + 1.0

    await eventually(a_second_is_over)
    assert (await api.get("/v1/jobs", key.key)).status == 401
    assert revoked.revoked_at is not None
    assert (await api.get("/v1/jobs", other.key)).status == 200


async def test_revoking_twice_and_either_way_is_the_same(api: Api) -> None:
    key = await made(api)
    once = await api.call("POST", f"/v1/keys/{key.id}/revoke", ADMIN_KEY)
    again = await api.call("DELETE", f"/v1/keys/{key.id}", ADMIN_KEY)
    assert (once.status, again.status) == (200, 200)
    assert once.json == again.json
    assert (await api.get("/v1/keys", ADMIN_KEY)).json["data"] == [once.json]


@pytest.mark.parametrize("key_id", [UNKNOWN, "key_1", "job_01k9zzzzzzzzzzzzzzzzzzzzzz", "x" * 500])
async def test_a_key_that_is_not_there_cannot_be_revoked(api: Api, key_id: str) -> None:
    for method, path in (("DELETE", f"/v1/keys/{key_id}"), ("POST", f"/v1/keys/{key_id}/revoke")):
        answer = await api.call(method, path, ADMIN_KEY)
        assert (answer.status, answer.error["code"]) == (404, "not_found")


async def test_keys_are_listed_newest_first_page_by_page_and_by_team(api: Api) -> None:
    names = [(await made(api, team=team, name=f"{team} {number}")).name for number in range(3) for team in ("a", "b")]
    seen, ids, after = list[str](), list[str](), ""
    while True:
        page = (await api.get(f"/v1/keys?limit=2{after}", ADMIN_KEY)).json
        KeyList.model_validate(page)
        seen += [key["name"] for key in page["data"]]
        ids += [key["id"] for key in page["data"]]
        if not page["has_more"]:
            break
        after = f"&after={page['next_after']}"
    assert sorted(seen) == sorted(names)
    assert ids == sorted(ids, reverse=True)  # they begin with the millisecond in which they were made
    of_a = (await api.get("/v1/keys?team=a", ADMIN_KEY)).json["data"]
    assert sorted(key["name"] for key in of_a) == ["a 0", "a 1", "a 2"]
    assert (await api.get("/v1/keys?team=nobody", ADMIN_KEY)).json["data"] == []


@pytest.mark.parametrize(
    ("wish", "param", "said"),
    [
        ({"team": ""}, "team", "1 to 128 bytes"),
        ({"team": " a"}, "team", "without spaces"),
        ({"team": "a\nb"}, "team", "printable"),
        ({"team": "ü" * 65}, "team", "1 to 128 bytes"),
        ({"team": 7}, "team", "string"),
        ({"team": None}, "team", "string"),
        ({"name": "x" * 129}, "name", "128"),
        ({"name": "a\x00"}, "name", "printable"),
        ({"scopes": []}, "scopes", "at least one"),
        ({"scopes": ["write"]}, "scopes[0]", "'submit', 'read' or 'admin'; found 'write'"),
        ({"limits": {"rpm": -1}}, "limits.rpm", "found -1"),
        ({"limits": {"rps": 1}}, "limits.rps", "Did you mean `rp"),
        ({"limits": {"tpm": "many"}}, "limits.tpm", "found 'many'"),
        ({"on_limit": "wait"}, "on_limit", "'reject' or 'queue'; found 'wait'"),
        ({"max_input_tokens": 0}, "max_input_tokens", "found 0"),
        ({"tean": "a"}, "tean", "Did you mean `team`?"),
    ],
)
async def test_a_wrong_wish_is_refused_with_what_is_allowed(
    api: Api, wish: dict[str, Any], param: str, said: str
) -> None:
    answer = await make(api, **wish)
    assert answer.status == 400
    assert answer.error["param"] == param
    assert said in answer.error["message"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"'])
async def test_a_body_that_is_no_object_is_refused(api: Api, body: bytes) -> None:
    answer = await api.call("POST", "/v1/keys", ADMIN_KEY, body, {"content-type": "application/json"})
    assert (answer.status, answer.error["code"]) == (400, "invalid_json")


@pytest.mark.parametrize("query", ["after=nonsense", "limit=0", "limit=1001", "team=%20"])
async def test_a_wrong_parameter_of_the_list_is_refused(api: Api, query: str) -> None:
    answer = await api.get(f"/v1/keys?{query}", ADMIN_KEY)
    assert answer.status == 400
    assert answer.error["param"] == query.partition("=")[0]


async def test_the_documented_example_makes_a_key(api: Api) -> None:
    document = (await api.call("GET", "/openapi.json", None)).json
    body = document["paths"]["/v1/keys"]["post"]["requestBody"]["content"]["application/json"]
    assert (await api.call("POST", "/v1/keys", ADMIN_KEY, body["example"])).status == 201


@pytest.fixture
async def away(valkey_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    client = connect(f"unix://{tmp_path}/nobody-listens.sock")
    keyring = StoredKeyring(RedisApiKeys(client), SystemClock())
    async with running_api(valkey_url, keyring=keyring) as api:
        yield api
    await client.aclose()


async def test_while_the_store_is_away_no_key_is_called_unknown(away: Api) -> None:
    for _ in range(3):  # a failure is not remembered as an answer
        answer = await away.call("POST", "/v1/jobs", "fb-any", SUBMISSION)
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) >= 1


async def test_a_key_of_one_team_does_nothing_for_another(api: Api) -> None:
    one, other = await made(api, team="one"), await made(api, team="two")
    job = (await api.submit(key=one.key, request=CHAT)).json
    assert (await api.get(f"/v1/jobs/{job['id']}", other.key)).status == 404
    assert (await api.get("/v1/jobs", other.key)).json["data"] == []
    assert ids.created_at(one.id) is not None
