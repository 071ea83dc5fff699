from typing import Any

import pytest

from shared.domain.answer_cache import is_worth_caching


def chat(finish_reason: str = "stop", **message: object) -> dict[str, Any]:
    return {"choices": [{"message": {"content": "Yes.", **message}, "finish_reason": finish_reason}]}


@pytest.mark.parametrize(
    "response",
    [
        chat(),
        chat("tool_calls", content=None, tool_calls=[{"id": "1"}]),
        {"data": [{"embedding": [0.1]}]},
    ],
)
def test_a_complete_answer_is_kept(response: dict[str, Any]) -> None:
    assert is_worth_caching({}, response)


@pytest.mark.parametrize(
    "response",
    [
        chat("content_filter"),
        chat("length"),
        chat(content=""),
        chat(refusal="I cannot help with that."),
        {"choices": []},
        {"choices": "none"},
        {"choices": [None]},
        {"choices": [{"finish_reason": "stop"}]},
        {"data": []},
        {},
    ],
)
def test_a_refused_cut_or_empty_answer_is_not_kept(response: dict[str, Any]) -> None:
    assert not is_worth_caching({}, response)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_an_answer_cut_where_the_request_said_so_is_complete(name: str) -> None:
    assert is_worth_caching({name: 5}, chat("length"))


def test_one_bad_choice_of_several_spoils_the_answer() -> None:
    assert not is_worth_caching({}, {"choices": [*chat()["choices"], *chat("length")["choices"]]})
