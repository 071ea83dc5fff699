"""Whatever a provider says, it becomes the right error of ours, and gives nothing away."""

import json

import pytest

from shared.adapters.providers.errors import from_litellm, from_response
from shared.domain.provider_errors import (
    AuthenticationFailed,
    ContentRefused,
    ContextWindowExceeded,
    InvalidRequest,
    Overloaded,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    TimedOut,
    UnexpectedAnswer,
)


def error_body(message: str = "No.", error_type: str | None = None, code: str | int | None = None) -> bytes:
    return json.dumps({"error": {"message": message, "type": error_type, "param": None, "code": code}}).encode()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, UnexpectedAnswer),
        (400, InvalidRequest),
        (401, AuthenticationFailed),
        (402, QuotaExhausted),
        (403, AuthenticationFailed),
        (404, AuthenticationFailed),
        (408, TimedOut),
        (409, Overloaded),
        (413, InvalidRequest),
        (422, InvalidRequest),
        (425, Overloaded),
        (429, RateLimited),
        (498, Overloaded),
        (500, Overloaded),
        (502, Overloaded),
        (503, Overloaded),
        (504, TimedOut),
        (529, Overloaded),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>proxy</html>", b"[]", b'"x"', b'{"error": "no"}', error_body()])
def test_a_status_alone_says_what_kind_of_error_it_is(status: int, kind: type[ProviderError], body: bytes) -> None:
    error = from_response(status, {}, body)
    assert type(error) is kind
    assert error.status == status


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        # OpenAI
        (
            429,
            error_body("You exceeded your current quota.", "insufficient_quota", "insufficient_quota"),
            QuotaExhausted,
        ),
        (400, error_body("Hard limit.", "invalid_request_error", "billing_hard_limit_reached"), QuotaExhausted),
        (429, error_body("Rate limit reached on tokens per min.", "tokens", "rate_limit_exceeded"), RateLimited),
        (429, error_body("Request too large for m: Limit 10, Requested 20.", "tokens"), ContextWindowExceeded),
        (400, error_body("Too long.", "invalid_request_error", "context_length_exceeded"), ContextWindowExceeded),
        (400, error_body("It was flagged.", "invalid_request_error", "content_policy_violation"), ContentRefused),
        (400, error_body("Your prompt was flagged.", "invalid_request_error", "invalid_prompt"), ContentRefused),
        (404, error_body("No such model.", "invalid_request_error", "model_not_found"), AuthenticationFailed),
        # Azure
        (400, error_body("It triggered the content management policy.", None, "content_filter"), ContentRefused),
        # Anthropic
        (
            400,
            b'{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 8"}}',
            ContextWindowExceeded,
        ),
        (413, b'{"type":"error","error":{"type":"request_too_large","message":"Too big."}}', ContextWindowExceeded),
        (529, b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', Overloaded),
        (
            400,
            b'{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low."}}',
            QuotaExhausted,
        ),
        # Google: a short-lived limit that is called a quota, with the wait in the body
        (
            429,
            b'[{"error":{"status":"RESOURCE_EXHAUSTED","message":"You exceeded your current quota.","d":{"retryDelay":"7s"}}}]',
            RateLimited,
        ),
        (400, error_body("The input token count (9) exceeds the maximum number of tokens (8)."), ContextWindowExceeded),
        # vLLM
        (
            400,
            b'{"object":"error","message":"The model\'s maximum context length is 8.","code":400}',
            ContextWindowExceeded,
        ),
        # DeepSeek, xAI
        (402, error_body("Insufficient Balance", "unknown_error", "invalid_request_error"), QuotaExhausted),
        (403, b'{"error":"Content violates usage guidelines."}', ContentRefused),
        # a gateway that hides a limit
        (500, error_body("upstream said: Too Many Requests"), RateLimited),
    ],
)
def test_the_providers_words_say_more_than_the_status(status: int, body: bytes, kind: type[ProviderError]) -> None:
    assert type(from_response(status, {}, body)) is kind


def test_a_refused_key_is_not_explained_away_by_its_message() -> None:
    assert type(from_response(401, {}, error_body("rate limit of content policy"))) is AuthenticationFailed


def test_the_wait_that_the_provider_asks_for_is_kept() -> None:
    assert from_response(429, {"retry-after": "7"}, error_body()).retry_after_s == 7
    assert from_response(503, {}, error_body()).retry_after_s is None


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 408, 413, 422, 429, 500, 503])
def test_no_message_gives_away_a_key_or_a_prompt(status: int) -> None:
    said = (
        "Incorrect API key provided: sk-abc***wxyz. Bearer abcdefghijklmnop. In 'my secret prompt' and "
        '"my secret prompt", {"content": "my secret prompt"}: qwertyuiop1234567890asdf'
    )
    for code in ("bad_value", "my secret prompt"):
        message = from_response(status, {}, error_body(said, "invalid_request_error", code)).message
        for hidden in ("secret", "sk-abc", "wxyz", "abcdefghij", "qwertyuiop"):
            assert hidden not in message


def test_an_invalid_request_says_what_is_wrong() -> None:
    body = b'{"error":{"message":"Must be at most 2.","type":"invalid_request_error","param":"temperature","code":"too_big"}}'
    error = from_response(400, {}, body)
    for told in ("400", "too_big", "invalid_request_error", "temperature", "Must be at most 2."):
        assert told in error.message


def test_long_words_of_a_provider_are_cut() -> None:
    assert len(from_response(400, {}, error_body("so " * 10_000)).message) < 400


def test_an_exception_that_nobody_expected_is_an_unexpected_answer_without_its_text() -> None:
    error = from_litellm(RuntimeError("the prompt was: secret"))
    assert type(error) is UnexpectedAnswer
    assert "secret" not in error.message
    assert "RuntimeError" in error.message


def test_a_timeout_of_the_event_loop_is_a_timeout() -> None:
    assert type(from_litellm(TimeoutError())) is TimedOut
