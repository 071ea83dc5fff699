"""The request of a client of the OpenAI API, as it is read."""

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import InvalidInput, UnknownModel, Unsupported
from shared.wire.direct_request import DirectRequest, without_prefix
from shared.wire.openai import Endpoint

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "PROMPT"}]}


def read(document: object, endpoint: Endpoint = Endpoint.CHAT_COMPLETIONS) -> DirectRequest:
    return DirectRequest.parse(endpoint, orjson.dumps(document))


def test_whether_the_answer_is_streamed_is_no_part_of_the_question() -> None:
    options = {"stream_options": {"include_usage": True}}
    assert read(CHAT | options | {"stream": True}) == DirectRequest(CHAT | options, streams=True, include_usage=True)
    assert read(CHAT | {"stream": True, "seed": 7}) == DirectRequest(CHAT | {"seed": 7}, streams=True)
    assert read(CHAT | {"stream": False}) == DirectRequest(CHAT)
    assert read(CHAT | {"stream": None, "stream_options": None}).include_usage is False


@pytest.mark.parametrize(
    ("document", "param", "said"),
    [
        ({"messages": []}, "model", "`model` must be the name of a model"),
        ({"model": "m"}, "messages", "`messages` must be a list"),
        (CHAT | {"messages": [{"role": "user"}]}, "messages[0].content", "`messages[0].content` must"),
        (CHAT | {"n": 0}, "n", "`n` must be a whole number"),
        (CHAT | {"stream": "PROMPT"}, "stream", "found a string"),
        (CHAT | {"stream": 1}, "stream", "found a number"),
        (CHAT | {"stream_options": {"include_usage": True}}, "stream_options", "only allowed with `stream: true`"),
        (CHAT | {"stream": True, "stream_options": ["PROMPT"]}, "stream_options", "found a list"),
        (
            CHAT | {"stream": True, "stream_options": {"include_usage": "PROMPT"}},
            "stream_options.include_usage",
            "found a string",
        ),
        (["PROMPT"], None, "must be a JSON object; found a list"),
    ],
)
def test_what_is_wrong_is_named_by_its_place_in_the_body(document: object, param: str | None, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(document)
    assert refused.value.param == param
    assert said in refused.value.message
    assert "request." not in refused.value.message
    assert "PROMPT" not in refused.value.message


@pytest.mark.parametrize(("body", "said"), [(b"", "is empty"), (b"{", "is not valid JSON")])
def test_a_body_that_is_no_json_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as refused:
        DirectRequest.parse(Endpoint.CHAT_COMPLETIONS, body)
    assert refused.value.error_code == "invalid_json"


def test_embeddings_are_not_streamed() -> None:
    with pytest.raises(Unsupported) as refused:
        read({"model": "m", "input": "x", "stream": True}, Endpoint.EMBEDDINGS)
    assert refused.value.param == "stream"
    assert read({"model": "m", "input": "x", "stream": False}, Endpoint.EMBEDDINGS).streams is False


def test_an_error_keeps_its_kind_and_its_code_without_the_prefix() -> None:
    error = without_prefix(UnknownModel("`request.model` is none.", param="request.model"))
    assert (type(error), error.message, error.param, error.error_code) == (
        UnknownModel,
        "`model` is none.",
        "model",
        "model_not_found",
    )
    assert without_prefix(InvalidInput("Nothing.")).param is None
    whole = without_prefix(InvalidInput("`request` is nested too deeply.", param="request"))
    assert (whole.message, whole.param) == ("The body is nested too deeply.", None)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.sampled_from(["model", "messages", "input", "stream", "stream_options", "n", "x"])
REQUESTS = st.dictionaries(MEMBERS, VALUES, max_size=3).map(lambda members: CHAT | members)
BODIES = st.binary(max_size=200) | (REQUESTS | VALUES).map(orjson.dumps)


@given(body=BODIES, endpoint=st.sampled_from(Endpoint))
def test_whatever_is_sent_is_read_or_refused(body: bytes, endpoint: Endpoint) -> None:
    with suppress(InvalidInput):
        assert "stream" not in DirectRequest.parse(endpoint, body).request
