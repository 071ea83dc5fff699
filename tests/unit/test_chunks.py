"""Chunks of a whole answer, put together by the official package."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from shared.wire.chat_chunks import ChatAnswerInParts
from shared.wire.chunks import chunks

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
TOOL_CALLS = [
    {"id": f"call_{city}", "type": "function", "function": {"name": "weather", "arguments": f'{{"city":"{city}"}}'}}
    for city in ("Bern", "Basel")
]


def response(*choices: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_750_000_000,
        "model": "m-1",
        "choices": [{"index": index, "logprobs": None, **choice} for index, choice in enumerate(choices)],
        "usage": USAGE,
        "system_fingerprint": "fp",
    }


def choice(finish_reason: str = "stop", **message: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a message has
    return {"message": {"role": "assistant", "content": None, **message}, "finish_reason": finish_reason}


def put_together(whole: dict[str, Any], *, include_usage: bool = True) -> dict[str, Any]:
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for chunk in chunks(whole, include_usage=include_usage):
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    return state.current_completion_snapshot.model_dump(exclude_none=True)


def without_nothing(value: Any) -> Any:  # noqa: ANN401 - any part of an answer
    if isinstance(value, dict):
        return {name: without_nothing(part) for name, part in value.items() if part is not None}
    return [without_nothing(part) for part in value] if isinstance(value, list) else value


WHOLE = [
    [choice(content="Aare.")],
    [choice(content="")],
    [choice(content="One."), choice("length", content="Two.")],
    [choice("tool_calls", tool_calls=TOOL_CALLS)],
    [choice("tool_calls", content="Let me see.", tool_calls=TOOL_CALLS, reasoning_content="Two cities.")],
    [choice("content_filter", refusal="I would rather not.")],
    [choice("function_call", function_call={"name": "weather", "arguments": "{}"})],
    [
        {
            **choice(content="Aare."),
            "logprobs": {"content": [{"token": "Aare", "logprob": -0.1, "top_logprobs": []}]},
        }
    ],
]


@pytest.mark.parametrize("choices", WHOLE)
def test_put_together_the_chunks_are_the_answer(choices: list[dict[str, Any]]) -> None:
    whole = response(*choices)
    got = put_together(whole)
    for part in got["choices"]:  # the package numbers the calls and parses their arguments
        for call in part["message"].get("tool_calls", ()):
            call.pop("index")
            call["function"].pop("parsed_arguments", None)
    assert got == without_nothing(whole)


@pytest.mark.parametrize("choices", WHOLE)
def test_our_own_putting_together_undoes_the_cutting(choices: list[dict[str, Any]]) -> None:
    whole = response(*choices)
    parts = ChatAnswerInParts(len(choices))
    for chunk in chunks(whole, include_usage=True):
        parts.add(chunk)
    assert parts.is_whole
    assert without_nothing(parts.answer()) == without_nothing(whole)


@given(text=st.text())
def test_no_text_is_changed(text: str) -> None:
    assert put_together(response(choice(content=text)))["choices"][0]["message"]["content"] == text


def test_what_was_used_is_told_only_to_who_asked() -> None:
    whole = response(choice(content="Aare."))
    asked, not_asked = (list(chunks(whole, include_usage=wish)) for wish in (True, False))
    assert asked[-1]["choices"] == []
    assert [chunk["usage"] for chunk in asked] == [None] * (len(asked) - 1) + [USAGE]
    assert all("usage" not in chunk for chunk in not_asked)
    assert all(chunk["choices"] for chunk in not_asked)


def test_what_a_provider_adds_is_kept() -> None:
    beside = {**choice(content="Aare."), "content_filter_results": {"hate": {"filtered": False}}}
    made = list(chunks(response(beside) | {"x_of_the_provider": 1}, include_usage=False))
    assert {chunk["x_of_the_provider"] for chunk in made} == {1}
    assert made[-1]["choices"][0]["content_filter_results"] == {"hate": {"filtered": False}}
