from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.answer_cache import CacheMode, CachePolicy
from shared.domain.errors import MalformedMessage
from shared.domain.files import FileReference
from shared.domain.job import Attribution, Envelope, JobSpec, Json
from shared.domain.lanes import Priority
from shared.wire.envelope import decode, encode

SPEC = JobSpec(
    id="job_1",
    team="search",
    endpoint="/v1/chat/completions",
    model="gpt-4",
    lane="gpt-4o",
    priority=Priority.BULK,
    created_at=1_700_000_000.25,
    deadline=1_700_000_900.5,
    batch_id="batch_1",
    cache=CachePolicy(CacheMode.REFRESH, 60, "v2"),
    attribution=Attribution(feature="titles"),
    metadata={"custom_id": "7"},
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_an_envelope_comes_back_as_it_was(request: Json) -> None:
    envelope = Envelope(SPEC, request, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    assert decode(encode(envelope)) == envelope


def test_an_envelope_whose_request_lies_in_a_file_says_where_and_holds_none() -> None:
    spec = replace(SPEC, request_file=FileReference("requests/2026-11-25/search/job_1.json", 3_000_000))
    body = encode(Envelope(spec, {"messages": "canary"}))
    assert b"canary" not in body
    assert decode(body) == Envelope(spec, {})


def test_an_envelope_that_should_name_a_file_and_does_not_is_malformed() -> None:
    body = orjson.dumps({"v": 2, "spec": SPEC})
    with pytest.raises(MalformedMessage, match="spec: "):
        decode(body)


def test_a_message_of_an_older_version_without_the_newer_fields_is_read() -> None:
    document = orjson.loads(encode(Envelope(SPEC, {"model": "gpt-4"})))
    assert document["v"] == 1
    del document["spec"]["request_file"]
    assert decode(orjson.dumps(document)) == Envelope(SPEC, {"model": "gpt-4"})


@given(st.binary(max_size=200))
def test_any_other_bytes_are_a_malformed_message(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode(body)


def test_a_version_not_known_here_is_named() -> None:
    body = orjson.dumps({**orjson.loads(encode(Envelope(SPEC, {}))), "v": 3})
    with pytest.raises(MalformedMessage, match="version 3"):
        decode(body)


def test_the_reason_names_the_place_and_quotes_nothing() -> None:
    document = orjson.loads(encode(Envelope(SPEC, {"messages": "canary"})))
    document["spec"]["priority"] = "canary"
    with pytest.raises(MalformedMessage, match=r"spec\.priority") as caught:
        decode(orjson.dumps(document))
    assert "canary" not in caught.value.message
