from typing import Any

import pytest

from shared.domain.fingerprint import fingerprint

REQUEST = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0}


def of(**changes: object) -> str:
    question: dict[str, Any] = {
        "team": "a",
        "endpoint": "/v1/chat/completions",
        "request": REQUEST,
        "served_models": ("openai/m",),
        "namespace": "",
    }
    return fingerprint(**(question | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"team": "b"},
        {"endpoint": "/v1/embeddings"},
        {"served_models": ("openai/m-2",)},
        {"namespace": "v2"},
        {"request": REQUEST | {"temperature": 1}},
        {"request": REQUEST | {"messages": [{"role": "user", "content": "Hi "}]}},
        {"request": REQUEST | {"tools": []}},
    ],
)
def test_whatever_changes_the_answer_changes_the_fingerprint(changes: dict[str, Any]) -> None:
    assert of(**changes) != of()


def test_the_order_of_members_and_who_asks_for_whom_do_not_matter() -> None:
    reordered = dict(reversed(REQUEST.items())) | {"user": "u-17", "stream": False, "model": "alias"}
    assert of(request=reordered) == of()


def test_a_lone_surrogate_has_a_fingerprint_too() -> None:
    assert len(of(request={"messages": "\ud800"})) == 64
