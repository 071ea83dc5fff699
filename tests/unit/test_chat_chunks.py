"""A chat answer is the same whether it comes whole or in chunks."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.wire.chat_chunks import ChatAnswerInParts, asks_for_usage, is_usage_alone

Json = dict[str, Any]
TEXT = st.text(max_size=12)
SOME_TEXT = st.text(min_size=1, max_size=12)

FUNCTIONS = st.fixed_dictionaries({"name": SOME_TEXT, "arguments": TEXT})
CALLS = st.lists(
    st.fixed_dictionaries({"id": SOME_TEXT, "type": st.just("function"), "function": FUNCTIONS}), min_size=1, max_size=3
)
MESSAGES = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.none() | TEXT},
    optional={
        "refusal": st.none() | TEXT,
        "reasoning_content": TEXT,
        "reasoning": TEXT,
        "of_the_future": TEXT,
        "tool_calls": CALLS,
        "function_call": FUNCTIONS,
        "annotations": st.lists(
            st.fixed_dictionaries({"type": st.just("url_citation"), "n": st.integers()}), max_size=3
        ),
        "audio": st.fixed_dictionaries(
            {"id": SOME_TEXT, "data": TEXT, "transcript": TEXT, "expires_at": st.integers()}
        ),
    },
)
TOKENS = st.lists(st.fixed_dictionaries({"token": TEXT, "logprob": st.floats(allow_nan=False)}), max_size=3)
CHOICES = st.fixed_dictionaries(
    {
        "message": MESSAGES,
        "logprobs": st.none() | st.fixed_dictionaries({"content": TOKENS, "refusal": st.none() | TOKENS}),
        "finish_reason": st.sampled_from(["stop", "length", "tool_calls", "content_filter"]),
    },
    optional={"stop_reason": st.integers()},
)
ANSWERS = st.fixed_dictionaries(
    {
        "id": SOME_TEXT,
        "object": st.just("chat.completion"),
        "created": st.integers(1, 2**40),
        "model": SOME_TEXT,
        "choices": st.lists(CHOICES, min_size=1, max_size=3),
        "usage": st.fixed_dictionaries({"prompt_tokens": st.integers(0), "completion_tokens": st.integers(0)}),
    },
    optional={
        "system_fingerprint": st.none() | SOME_TEXT,
        "service_tier": st.none() | SOME_TEXT,
        "of_the_future": st.dictionaries(SOME_TEXT, st.integers(), max_size=2),
    },
).map(lambda answer: numbered(dict(answer)))


@given(ANSWERS, st.data())
def test_cutting_an_answer_into_chunks_and_assembling_gives_it_back(answer: Json, data: st.DataObject) -> None:
    whole = ChatAnswerInParts()
    for chunk in chunks_of(answer, data):
        whole.add(chunk)
    assert whole.is_whole
    assert whole.answer() == answer


@given(ANSWERS, st.data())
def test_chunks_are_left_as_they_are(answer: Json, data: st.DataObject) -> None:
    chunks = chunks_of(answer, data)
    before = repr(chunks)
    whole = ChatAnswerInParts()
    for chunk in chunks:
        whole.add(chunk)
    whole.answer()
    assert repr(chunks) == before


def test_what_a_provider_repeats_in_every_chunk_is_not_joined() -> None:
    whole = ChatAnswerInParts()
    for part in ("Aa", "re"):
        call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "river", "arguments": part}}
        whole.add({"choices": [{"index": 0, "delta": {"role": "assistant", "content": part, "tool_calls": [call]}}]})
    message = whole.answer()["choices"][0]["message"]
    assert message == {
        "role": "assistant",
        "content": "Aare",
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "river", "arguments": "Aare"}}],
    }


def test_thoughts_in_blocks_are_joined_up_to_their_signature() -> None:
    whole = ChatAnswerInParts()
    for thinking, signature in (("Let ", ""), ("me.", ""), ("", "sig-1"), ("Again.", "")):
        block = {"type": "thinking", "thinking": thinking, "signature": signature}
        whole.add({"choices": [{"index": 0, "delta": {"thinking_blocks": [block]}}]})
    assert whole.answer()["choices"][0]["message"]["thinking_blocks"] == [
        {"type": "thinking", "thinking": "Let me.", "signature": "sig-1"},
        {"type": "thinking", "thinking": "Again.", "signature": ""},
    ]


def test_an_answer_that_broke_off_is_given_as_far_as_it_came() -> None:
    whole = ChatAnswerInParts()
    whole.add({"id": "c", "choices": [{"index": 0, "delta": {"content": "Half"}, "finish_reason": None}]})
    assert (whole.is_begun, whole.is_whole) == (True, False)
    assert whole.answer()["choices"][0]["message"]["content"] == "Half"


def test_an_answer_is_not_whole_before_every_choice_that_was_asked_for_has_ended() -> None:
    whole = ChatAnswerInParts(choices=2)
    seen = []
    for index in (0, 1):
        whole.add({"choices": [{"index": index, "delta": {"content": "x"}, "finish_reason": "stop"}]})
        seen.append(whole.is_whole)
    assert seen == [False, True]


def test_the_last_usage_counts_and_padding_is_left_out() -> None:
    whole = ChatAnswerInParts()
    for count in (1, 2, None):
        usage = None if count is None else {"prompt_tokens": count}
        whole.add({"choices": [], "usage": usage, "obfuscation": "xyz"})
    assert whole.answer() == {"object": "chat.completion", "choices": [], "usage": {"prompt_tokens": 2}}


def test_only_the_chunk_that_counts_and_says_nothing_is_usage_alone() -> None:
    assert is_usage_alone({"choices": [], "usage": {"prompt_tokens": 1}})
    assert not is_usage_alone({"choices": [{"index": 0, "delta": {}}], "usage": {"prompt_tokens": 1}})
    assert not is_usage_alone({"choices": [], "prompt_filter_results": []})
    assert asks_for_usage({"stream_options": {"include_usage": True}})
    assert not asks_for_usage({"stream_options": None})


def numbered(answer: Json) -> Json:
    return {**answer, "choices": [{"index": n, **choice} for n, choice in enumerate(answer["choices"])]}


def chunks_of(answer: Json, data: st.DataObject) -> list[Json]:
    """Cut an answer as providers do, at places that hypothesis chooses; the choices take turns."""
    head = {name: value for name, value in answer.items() if name not in {"choices", "usage", "object"}}

    def chunk(choices: list[Json], usage: Json | None = None) -> Json:
        return {**head, "object": "chat.completion.chunk", "choices": choices, "usage": usage}

    ways: list[list[Json]] = [_choice_chunks(choice, data) for choice in answer["choices"]]
    chunks = []
    while any(ways):
        turn = data.draw(st.sampled_from([number for number, way in enumerate(ways) if way]))
        chunks.append(chunk([ways[turn].pop(0)]))
    return [*chunks, chunk([], answer["usage"])]


def _choice_chunks(choice: Json, data: st.DataObject) -> list[Json]:
    index, message, logprobs = choice["index"], choice["message"], choice["logprobs"]
    deltas: list[Json] = [{"role": message["role"], "content": message["content"] if not message["content"] else ""}]
    for name, value in message.items():
        if name == "role":
            continue
        if name == "tool_calls":
            deltas += _call_deltas(value, data)
        elif name == "audio":
            deltas += [{"audio": {"id": value["id"]}}]
            deltas += [{"audio": {"data": part}} for part in _parts(value["data"], data)]
            deltas += [{"audio": {"transcript": part}} for part in _parts(value["transcript"], data)]
            deltas += [{"audio": {"expires_at": value["expires_at"]}}]
        elif name == "function_call":
            deltas += [{name: {"name": value["name"], "arguments": ""}}]
            deltas += [{name: {"arguments": part}} for part in _parts(value["arguments"], data)]
        elif isinstance(value, str):
            deltas += [{name: part} for part in _parts(value, data)]
        else:
            deltas += [{name: value}]
    chunks = [{"index": index, "delta": delta, "logprobs": None, "finish_reason": None} for delta in deltas]
    if logprobs is not None:
        chunks[0]["logprobs"] = {name: [] if value is not None else None for name, value in logprobs.items()}
        for name, tokens in logprobs.items():
            for token in tokens or ():
                spot = {"index": index, "delta": {}, "logprobs": {name: [token]}, "finish_reason": None}
                chunks.append(spot)
    more = {name: value for name, value in choice.items() if name not in {"message", "logprobs"}}
    return [*chunks, {**more, "delta": {}, "logprobs": None}]


def _call_deltas(calls: list[Json], data: st.DataObject) -> list[Json]:
    deltas: list[Json] = []
    for index, call in enumerate(calls):
        head = {**call, "index": index, "function": {**call["function"], "arguments": ""}}
        deltas.append({"tool_calls": [head]})
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": part}}]}
            for part in _parts(call["function"]["arguments"], data)
        ]
    return deltas


def _parts(text: str, data: st.DataObject) -> list[str]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
