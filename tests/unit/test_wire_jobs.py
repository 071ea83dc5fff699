"""What a submission may say, and what is said about one that is wrong."""

from typing import Any

import orjson
import pytest

from shared.domain.answer_cache import CacheMode, CachePolicy
from shared.domain.errors import BodyTooLarge, InvalidInput, Unsupported
from shared.domain.lanes import Priority
from shared.domain.routing import RoutingWish
from shared.wire.jobs import Submission
from shared.wire.openai import Endpoint

NOW = 1_795_000_000.0  # 2026-11-18T11:06:40Z
CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "PROMPT"}]}


def parse(**fields: object) -> Submission:
    return Submission.parse(orjson.dumps({"request": CHAT} | fields), NOW)


def parse_request(request: object, **fields: object) -> Submission:
    return parse(request=request, **fields)


def refused(body: bytes | dict[str, object]) -> InvalidInput:
    encoded = body if isinstance(body, bytes) else orjson.dumps(body)
    with pytest.raises(InvalidInput) as caught:
        Submission.parse(encoded, NOW)
    assert "PROMPT" not in caught.value.message
    return caught.value


def test_only_the_request_is_required() -> None:
    submission = parse()
    assert submission.endpoint is Endpoint.CHAT_COMPLETIONS
    assert submission.priority is Priority.STANDARD
    assert submission.latest_finish(NOW) is None
    assert submission.cache.over(CachePolicy(ttl_s=7.0)) == CachePolicy(ttl_s=7.0)


def test_the_request_passes_unchanged_with_members_nobody_here_knows() -> None:
    request = CHAT | {"temperature": 0.7, "logit_bias": {"50256": -100}, "x_unknown": [None, True, {"deep": "ü€😀"}]}
    assert parse_request(request).request == request


def test_a_duration_becomes_a_deadline() -> None:
    assert parse(within="1h30m").latest_finish(NOW) == NOW + 5_400


def test_a_deadline_is_read_with_its_zone() -> None:
    assert parse(deadline="2026-12-01T02:00:00+02:00").deadline == parse(deadline="2026-12-01T00:00:00Z").deadline


def test_wishes_for_the_cache_stand_over_the_default() -> None:
    wish = parse(cache={"mode": "refresh", "ttl": 60, "namespace": "v2"}).cache
    assert wish.over(CachePolicy()) == CachePolicy(CacheMode.REFRESH, 60.0, "v2")


@pytest.mark.parametrize(
    ("routing", "wish"),
    [
        ({}, RoutingWish()),
        ({"region": "eu"}, RoutingWish("eu")),
        ({"fallbacks": []}, RoutingWish(fallbacks=())),
        ({"region": "eu", "fallbacks": ["b", "a"]}, RoutingWish("eu", ("b", "a"))),
    ],
)
def test_a_job_may_wish_where_it_is_served_and_by_what_else(routing: dict[str, object], wish: RoutingWish) -> None:
    assert parse(routing=routing).routing.to_domain() == wish


def test_embeddings_are_asked_by_their_endpoint() -> None:
    submission = parse_request({"model": "e", "input": ["a", "b"]}, endpoint="/v1/embeddings")
    assert submission.endpoint is Endpoint.EMBEDDINGS


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function"}]},
        {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "user", "content": [{"type": "text", "text": "PROMPT"}]},
        {"role": "tool", "content": "", "tool_call_id": "c"},
    ],
)
def test_a_message_may_be_all_that_the_wire_allows(message: dict[str, object]) -> None:
    assert parse_request(CHAT | {"messages": [message]}).request["messages"] == [message]


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"priorty": "bulk"}, "priorty", "Did you mean `priority`?"),
        ({"cache": {"modus": "off"}}, "cache.modus", "Did you mean `mode`?"),
        ({"attribution": {"xyzzy": "a"}}, "attribution.xyzzy", "Allowed: `project`, `feature`, `user`."),
        ({"priority": "urgent"}, "priority", "'interactive', 'standard', 'bulk' or 'deferrable'; found 'urgent'"),
        ({"endpoint": "/v1/images"}, "endpoint", "'/v1/chat/completions' or '/v1/embeddings'"),
        ({"within": "soon"}, "within", "must be a duration"),
        ({"within": 60}, "within", "must be a duration"),
        ({"within": "0s"}, "within", "more than 0"),
        ({"within": "9999d"}, "within", "at most 366 days; found 863913600 seconds"),
        ({"within": "1h", "deadline": "2026-12-01T00:00:00Z"}, "within", "give one of them"),
        ({"deadline": "2026-12-01T00:00:00"}, "deadline", "with its zone"),
        ({"deadline": "2026-13-01T00:00:00Z"}, "deadline", "with its zone"),
        ({"deadline": "2020-01-01T00:00:00Z"}, "deadline", "found 2020-01-01T00:00:00.000Z"),
        ({"deadline": "0001-01-01T00:00:00+01:00"}, "deadline", "found a time before 1970"),
        ({"deadline": "2090-01-01T00:00:00Z"}, "deadline", "at most 366 days"),
        ({"run_at": 5}, "run_at", "with its zone"),
        ({"run_at": "2026-12-01T02:00:00Z", "within": "1h"}, "run_at", "before the deadline"),
        ({"metadata": {"a": 1}}, "metadata.a", "string"),
        ({"metadata": {"a": "x" * 513}}, "metadata.a", "at most 512"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata", "at most 16 pairs, found 17"),
        ({"metadata": ["a"]}, "metadata", "must be an object"),
        ({"cache": {"ttl": 0}}, "cache.ttl", "greater than 0"),
        ({"cache": {"ttl": "60"}}, "cache.ttl", "number"),
        ({"cache": {"mode": "fuzzy"}}, "cache.mode", "'exact', 'refresh' or 'off'; found 'fuzzy'"),
        ({"routing": {"region": ""}}, "routing.region", "at least 1 character; found ''"),
        ({"routing": {"region": 7}}, "routing.region", "string; found 7"),
        ({"routing": {"regoin": "eu"}}, "routing.regoin", "Did you mean `region`?"),
        ({"routing": {"fallbacks": "m"}}, "routing.fallbacks", "list; found a string"),
        ({"routing": {"fallbacks": [7]}}, "routing.fallbacks[0]", "string; found a number"),
        ({"routing": {"fallbacks": ["m"] * 11}}, "routing.fallbacks", "at most 10 items"),
        ({"request": "PROMPT"}, "request", "must be an object"),
        ({"request": {"messages": [{"role": "user", "content": "PROMPT"}]}}, "request.model", "found nothing"),
        ({"request": CHAT | {"model": ""}}, "request.model", "found an empty string"),
        ({"request": CHAT | {"model": "m" * 257}}, "request.model", "at most 256 characters"),
        ({"request": CHAT | {"model": ["PROMPT"]}}, "request.model", "found a list"),
        ({"request": {"model": "m"}}, "request.messages", "found nothing"),
        ({"request": {"model": "m", "messages": []}}, "request.messages", "found an empty list"),
        ({"request": {"model": "m", "messages": "PROMPT"}}, "request.messages", "found a string"),
        ({"request": {"model": "m", "messages": ["PROMPT"]}}, "request.messages[0]", "found a string"),
        ({"request": {"model": "m", "messages": [{"content": "PROMPT"}]}}, "request.messages[0].role", "non-empty"),
        (
            {"request": {"model": "m", "messages": [CHAT["messages"][0], {"role": "user"}]}},
            "request.messages[1].content",
            "found nothing",
        ),
        (
            {"request": {"model": "m", "messages": [{"role": "user", "tool_calls": []}]}},
            "request.messages[0].content",
            "found nothing",
        ),
        (
            {"request": {"model": "m", "messages": [{"role": "user", "content": []}]}},
            "request.messages[0].content",
            "found an empty list",
        ),
        ({"endpoint": "/v1/embeddings", "request": {"model": "m", "input": ""}}, "request.input", "an empty string"),
        ({"endpoint": "/v1/embeddings", "request": {"model": "m"}}, "request.input", "found nothing"),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_what_is_allowed(
    fields: dict[str, object], param: str, says: str
) -> None:
    error = refused({"request": CHAT} | fields)
    assert error.param == param
    assert says in error.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"cache": {"mode": "semantic"}}, "cache.mode"),
        ({"cache": {"tags": ["a"]}}, "cache.tags"),
        ({"cache": {"max_error": 0.01}}, "cache.max_error"),
        ({"routing": {"task_type": "classification"}}, "routing.task_type"),
        ({"routing": {"complexity": "low"}}, "routing.complexity"),
        ({"routing": {"max_cost_usd": 0.02}}, "routing.max_cost_usd"),
        ({"request": CHAT | {"stream": True}}, "request.stream"),
    ],
)
def test_what_is_not_built_yet_is_refused_rather_than_ignored(fields: dict[str, object], param: str) -> None:
    error = refused({"request": CHAT} | fields)
    assert isinstance(error, Unsupported)
    assert error.param == param
    assert error.error_code == "unsupported_parameter"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b'{"request": PROMPT}', "line 1, column 13"),
        (b'["PROMPT"]', "must be a JSON object"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[" * 5_000, "not valid JSON"),
        (b'{"request": {"model": "\\ud800"}}', "not valid JSON"),
        (b'{"a": NaN}', "not valid JSON"),
    ],
)
def test_what_is_no_json_object_is_told_where_it_breaks(body: bytes, says: str) -> None:
    error = refused(body)
    assert says in error.message
    assert error.error_code == "invalid_json"


def test_a_missing_request_is_named() -> None:
    assert refused({"priority": "bulk"}).message == "`request` is required."


def test_long_strangers_are_quoted_shortened() -> None:
    assert len(refused({"request": CHAT, "x" * 100_000: 1}).message) < 500
    assert len(refused({"request": CHAT, "priority": "x" * 100_000}).message) < 500


def test_a_false_stream_passes() -> None:
    assert parse_request(CHAT | {"stream": False}).request["stream"] is False


def test_too_large_is_an_input_error_with_its_own_code() -> None:
    assert BodyTooLarge().error_code == "body_too_large"
