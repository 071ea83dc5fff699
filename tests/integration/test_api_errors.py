"""Whatever is wrong, the answer says so in one shape, and never more than it should."""

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.domain.tenants import Principal
from tests.integration.api_rig import BODY_LIMIT, CHAT, KEY, SUBMISSION, Api, running_api

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "invalid_json", None),
        (b"{", "invalid_json", None),
        (b'{"request": PROMPT}', "invalid_json", None),
        (b"[]", "invalid_json", None),
        (orjson.dumps(SUBMISSION | {"priorty": "bulk"}), "unknown_parameter", "priorty"),
        (orjson.dumps({}), "invalid_request", "request"),
        (orjson.dumps({"request": {"model": "gpt-4o-mini", "messages": [{"role": "user"}]}}), "invalid_request", None),
        (orjson.dumps(SUBMISSION | {"routing": {"region": "eu"}}), "region_not_available", "routing.region"),
        (orjson.dumps(SUBMISSION | {"routing": {"complexity": "low"}}), "unsupported_parameter", "routing.complexity"),
        (orjson.dumps({"request": CHAT | {"stream": True}}), "unsupported_parameter", "request.stream"),
    ],
)
async def test_a_bad_submission_is_refused_with_the_reason(api: Api, body: bytes, code: str, param: str | None) -> None:
    answer = await api.post_raw(body)
    assert answer.status == 400
    assert answer.error["type"] == "invalid_request_error"
    assert answer.error["code"] == code
    assert param is None or answer.error["param"] == param
    assert b"PROMPT" not in answer.body
    assert api.queue.published == []
    assert (await api.get("/v1/jobs")).json["data"] == []


async def test_an_unknown_model_is_not_found_and_the_likeliest_is_named(api: Api) -> None:
    answer = await api.submit(request=CHAT | {"model": "gpt-4o-mni"})
    assert answer.status == 404
    assert answer.error["code"] == "model_not_found"
    assert answer.error["param"] == "request.model"
    assert "`gpt-4o-mini`" in answer.error["message"]


async def test_an_unknown_fallback_is_not_found_and_the_likeliest_is_named(api: Api) -> None:
    answer = await api.submit(routing={"fallbacks": ["embedder", "gpt4"]})
    assert answer.status == 404
    assert answer.error["code"] == "model_not_found"
    assert answer.error["param"] == "routing.fallbacks[1]"
    assert "`gpt-4`" in answer.error["message"]
    assert api.queue.published == []


async def test_a_request_nested_too_deeply_is_refused(api: Api) -> None:
    deep = b'{"request":{"model":"gpt-4o-mini","messages":[{"role":"user","content":"x"}],"deep":%b%b}}'
    answer = await api.post_raw(deep % (b"[" * 900, b"]" * 900))
    assert answer.status == 400
    assert "nested" in answer.error["message"]


@pytest.mark.parametrize("key", [None, "", "fb-wrong", "fb-röd".encode().decode("latin-1")])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/jobs"),
        ("POST", "/v1/jobs/bulk"),
        ("GET", "/v1/jobs"),
        ("GET", "/v1/jobs/job_01k9zzzzzzzzzzzzzzzzzzzzzz"),
        ("POST", "/v1/jobs/job_01k9zzzzzzzzzzzzzzzzzzzzzz/cancel"),
        ("GET", "/v1/batches/batch_01k9zzzzzzzzzzzzzzzzzzzzzz"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/gpt-4o-mini"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/embeddings"),
        ("GET", "/v1/schedule"),
    ],
)
async def test_nothing_is_given_to_who_has_no_key(api: Api, method: str, path: str, key: str | None) -> None:
    answer = await api.call(method, path, key, SUBMISSION if method == "POST" else None)
    assert answer.status == 401
    assert answer.error["code"] == "invalid_api_key"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert not key or key.encode() not in answer.body


async def test_a_key_may_come_as_x_api_key(api: Api) -> None:
    assert (await api.call("GET", "/v1/jobs", None, headers={"x-api-key": KEY})).status == 200


async def test_another_scheme_is_no_key(api: Api) -> None:
    assert (await api.call("GET", "/v1/jobs", None, headers={"authorization": f"Basic {KEY}"})).status == 401


async def test_ten_megabytes_are_refused(api: Api) -> None:
    answer = await api.post_raw(BytesIO(b"x" * 10_000_000))
    assert answer.status == 413
    assert answer.error["code"] == "body_too_large"
    assert str(BODY_LIMIT) in answer.error["message"]


async def test_the_largest_body_allowed_is_taken_and_one_byte_more_is_not(api: Api) -> None:
    room = BODY_LIMIT - len(orjson.dumps({"request": CHAT | {"user": ""}}))
    fits, too_long = (orjson.dumps({"request": CHAT | {"user": "x" * size}}) for size in (room, room + 1))
    assert (await api.post_raw(fits)).status == 202
    assert (await api.post_raw(too_long)).status == 413


async def test_an_endless_body_is_refused_long_before_its_end(api: Api) -> None:
    answered = asyncio.Event()
    chunks = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal chunks
        while not answered.is_set():
            chunks += 1
            yield b"x" * 16_384
            await asyncio.sleep(0)  # let the answer come in

    async with api.session.post(
        f"{api.url}/v1/jobs", data=endless(), headers=JSON | {"authorization": f"Bearer {KEY}"}
    ) as response:
        answered.set()
        assert response.status == 413
        assert (await response.json())["error"]["code"] == "body_too_large"
    assert chunks * 16_384 < 64 * 1024 * 1024


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/x-www-form-urlencoded"])
async def test_json_is_taken_under_the_names_that_clients_send_it_by(api: Api, content_type: str) -> None:
    assert (await api.post_raw(orjson.dumps(SUBMISSION), content_type)).status == 202


async def test_another_content_type_is_refused(api: Api) -> None:
    answer = await api.post_raw(orjson.dumps(SUBMISSION), "text/plain")
    assert answer.status == 415
    assert answer.error["code"] == "unsupported_media_type"


async def test_a_compressed_body_is_refused_rather_than_misread(api: Api) -> None:
    answer = await api.call("POST", "/v1/jobs", body=b"\x1f\x8b", headers=JSON | {"content-encoding": "gzip"})
    assert answer.status == 415


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "unknown_path"),
        ("GET", "/v1/job", 404, "unknown_path"),
        ("GET", "/v1/jobs/", 404, "unknown_path"),
        ("POST", "/v1/jobs/a/b/c", 404, "unknown_path"),
        ("PUT", "/v1/jobs", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("GET", "/v1/jobs?limit=0", 400, "invalid_request"),
        ("GET", "/v1/jobs?limit=1001", 400, "invalid_request"),
        ("GET", "/v1/jobs?limit=x", 400, "invalid_request"),
        ("GET", "/v1/jobs?status=accepted", 400, "invalid_request"),
        ("GET", "/v1/jobs?priority=urgent", 400, "invalid_request"),
        ("GET", "/v1/jobs?after=nonsense", 400, "invalid_request"),
        ("GET", "/v1/jobs/job_01k9zzzzzzzzzzzzzzzzzzzzzz?wait=301", 400, "invalid_request"),
        ("GET", "/v1/jobs/job_01k9zzzzzzzzzzzzzzzzzzzzzz?wait=-1", 400, "invalid_request"),
        ("GET", "/v1/jobs/job_01k9zzzzzzzzzzzzzzzzzzzzzz?wait=nan", 400, "invalid_request"),
    ],
)
async def test_what_is_not_there_or_not_allowed_is_told_in_the_one_shape(
    api: Api, method: str, path: str, status: int, code: str
) -> None:
    answer = await api.call(method, path)
    assert (answer.status, answer.error["code"]) == (status, code)
    assert "param" in answer.error


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_method_that_is_not_allowed_is_told_with_all_that_are(api: Api, method: str) -> None:
    answer = await api.call("DELETE", "/v1/jobs")
    assert method in answer.error["message"].partition("allowed: ")[2]


async def test_a_wrong_parameter_is_told_with_what_was_found(api: Api) -> None:
    answer = await api.get("/v1/jobs?status=accepted")
    assert answer.error["param"] == "status"
    assert "found 'accepted'" in answer.error["message"]


@pytest.mark.parametrize("batch", ["nonsense", "batch_01k9zzzzzzzzzzzzzzzzzzzzzz"])
async def test_the_jobs_of_a_batch_that_is_not_there_are_not_an_empty_list(api: Api, batch: str) -> None:
    answer = await api.get(f"/v1/jobs?batch={batch}")
    assert (answer.status, answer.error["code"]) == (404, "not_found")
    assert batch in answer.error["message"]


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
async def test_an_idempotency_key_that_is_none_is_refused(api: Api, key: str) -> None:
    answer = await api.submit(idempotency_key=key)
    assert answer.status == 400
    assert answer.error["param"] == "Idempotency-Key"


class BrokenKeyring:
    """A keyring with a fault of ours."""

    async def principal(self, key: str) -> Principal | None:
        raise RuntimeError(f"secret detail about {key}")


async def test_a_fault_of_ours_is_told_without_details(valkey_url: str) -> None:
    async with running_api(valkey_url, keyring=BrokenKeyring()) as api:
        answer = await api.get("/v1/jobs")
    assert answer.status == 500
    assert answer.error["type"] == "server_error"
    assert answer.error["code"] == "internal_error"
    assert b"secret" not in answer.body
    assert answer.headers["x-request-id"]


async def test_every_answer_carries_a_request_id(api: Api) -> None:
    for path in ("/healthz", "/nowhere", "/v1/jobs"):
        assert (await api.get(path)).headers["x-request-id"].startswith("req_")
    mine = await api.call("GET", "/v1/jobs", headers={"x-request-id": "my-id.7"})
    assert mine.headers["x-request-id"] == "my-id.7"
    odd = await api.call("GET", "/v1/jobs", headers={"x-request-id": "x" * 500})
    assert odd.headers["x-request-id"].startswith("req_")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["endpoint", "request", "priority", "within", "deadline", "run_at", "attribution", "metadata", "cache", "x"]
)
CHANGED = st.dictionaries(FIELDS, VALUES, min_size=1, max_size=3).map(lambda fields: SUBMISSION | fields)
REQUESTS = st.dictionaries(st.sampled_from(["model", "messages", "input", "stream", "x"]), VALUES, max_size=3).map(
    lambda fields: {"request": CHAT | fields}
)
BODIES = st.binary(max_size=200) | (CHANGED | REQUESTS | VALUES).map(orjson.dumps)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=st.lists(BODIES, min_size=1, max_size=8))
def test_no_body_whatever_breaks_the_api(looping_api: tuple[asyncio.Runner, Api], bodies: list[bytes]) -> None:
    runner, api = looping_api

    async def send_all() -> None:
        for body in bodies:
            answer = await api.post_raw(body)
            assert answer.status in {202, 400, 404}
            if answer.status != 202:
                assert answer.error
        lines = [body.replace(b"\n", b" ") for body in bodies]
        bulk = await api.upload([*lines, orjson.dumps(SUBMISSION)])
        assert bulk.status == 202
        not_blank = sum(bool(line.strip()) for line in lines)
        assert bulk.json["accepted"] + len(bulk.json["rejected"]) == not_blank + 1

    runner.run(send_all())


@pytest.fixture
def looping_api(valkey_url: str) -> Any:  # noqa: ANN401 - a generator of a runner and what runs on it
    """The API on an event loop that hypothesis can use again and again."""
    with asyncio.Runner() as runner:
        context = running_api(valkey_url)
        api = runner.run(context.__aenter__())
        yield runner, api
        runner.run(context.__aexit__(None, None, None))
