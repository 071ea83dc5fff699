import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.answer_cache import CacheMode, CachePolicy
from shared.domain.errors import MalformedMessage
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


@given(st.binary(max_size=200))
def test_any_other_bytes_are_a_malformed_message(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode(body)


def test_a_version_not_known_here_is_named() -> None:
    body = orjson.dumps({**orjson.loads(encode(Envelope(SPEC, {}))), "v": 2})
    with pytest.raises(MalformedMessage, match="version 2"):
        decode(body)


def test_the_reason_names_the_place_and_quotes_nothing() -> None:
    document = orjson.loads(encode(Envelope(SPEC, {"messages": "canary"})))
    document["spec"]["priority"] = "canary"
    with pytest.raises(MalformedMessage, match=r"spec\.priority") as caught:
        decode(orjson.dumps(document))
    assert "canary" not in caught.value.message
