"""The one seam: whatever goes wrong with a provider becomes a ``ProviderError``.

No message made here contains a prompt, an answer or a key. They consist of our own sentence and of the
provider's names for the error; of its own words only those about an invalid request are passed on, shortened,
without what they quote.

Two decisions of ours:

- A 404 becomes ``AuthenticationFailed``: the model comes from the configuration, so the deployment is wrong, or its
  key may not use the model; another deployment may help, time does not, and the client is not to blame.
- A request that is larger than a whole minute's limit (a 413, or a 429 that says so) becomes
  ``ContextWindowExceeded``: waiting would never help.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import orjson

from shared.adapters.providers.complaint import Complaint, read_complaint
from shared.adapters.providers.retry_after import read_wait_s
from shared.domain.provider_errors import (
    AuthenticationFailed,
    ConnectionFailed,
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

Kind = type[ProviderError]

_BY_STATUS: Final[Mapping[int, Kind]] = MappingProxyType(
    {
        401: AuthenticationFailed,
        402: QuotaExhausted,
        403: AuthenticationFailed,
        404: AuthenticationFailed,
        408: TimedOut,
        409: Overloaded,
        425: Overloaded,
        429: RateLimited,
        498: Overloaded,
        504: TimedOut,
    }
)
_CLEAR_STATUSES: Final = frozenset({401, 402, 404, 408, 504})
"""Statuses that say everything; at others the provider's words are asked too."""

_SIGNS: Final[tuple[tuple[Kind, tuple[str, ...]], ...]] = (
    (
        ContextWindowExceeded,
        (
            "context_length_exceeded",
            "request too large",
            "request_too_large",
            "context length",
            "context window",
            "exceed context limit",
            "prompt is too long",
            "input is too long",
            "maximum prompt length",
            "exceeds the maximum number of tokens",
            "contextwindowexceeded",
        ),
    ),
    (
        ContentRefused,
        (
            "content_filter",
            "content_policy",
            "contentpolicyviolation",
            "responsibleaipolicyviolation",
            "content management policy",
            "content filtering policy",
            "content policy",
            "usage policy",
            "usage policies",
            "usage guidelines",
            "safety system",
            "invalid_prompt",
        ),
    ),
    (
        QuotaExhausted,
        (
            "insufficient_quota",
            "insufficient balance",
            "insufficient_balance",
            "credit balance is too low",
            "billing_hard_limit_reached",
            "billing_not_active",
            "exceeded your current quota",
            "out of credits",
            "payment required",
        ),
    ),
)
_SIGNS_OF_A_LIMIT: Final = (
    "rate_limit",
    "rate limit",
    "ratelimit",
    "too many requests",
    "resource_exhausted",
    "error code: 429",
    '"code": 429',
    "'code': 429",
    "throttlingexception",
)
_SIGN_OF_NO_CONNECTION: Final = "exception - connection error."
"""LiteLLM gives a broken connection the status 500."""

_BY_LITELLM_CLASS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "APIConnectionError": ConnectionFailed,
        "APIError": Overloaded,
        "APIResponseValidationError": UnexpectedAnswer,
        "AuthenticationError": AuthenticationFailed,
        "BadGatewayError": Overloaded,
        "BadRequestError": InvalidRequest,
        "BlockedPiiEntityError": ContentRefused,
        "BudgetExceededError": QuotaExhausted,
        "ContentPolicyViolationError": ContentRefused,
        "ContextWindowExceededError": ContextWindowExceeded,
        "GuardrailRaisedException": ContentRefused,
        "ImageFetchError": InvalidRequest,
        "InternalServerError": Overloaded,
        "InvalidRequestError": InvalidRequest,
        "JSONSchemaValidationError": UnexpectedAnswer,
        "LiteLLMUnknownProvider": AuthenticationFailed,
        "MidStreamFallbackError": Overloaded,
        "MockException": Overloaded,
        "ModelNotMappedError": UnexpectedAnswer,
        "ModifyResponseException": ContentRefused,
        "NotFoundError": AuthenticationFailed,
        "OpenAIError": UnexpectedAnswer,
        "PaymentRequiredError": QuotaExhausted,
        "PermissionDeniedError": AuthenticationFailed,
        "RateLimitError": RateLimited,
        "RejectedRequestError": ContentRefused,
        "SensitiveDataRouteException": ContentRefused,
        "ServiceUnavailableError": Overloaded,
        "Timeout": TimedOut,
        "UnprocessableEntityError": InvalidRequest,
        "UnsupportedParamsError": InvalidRequest,
        "VectorStoreSearchError": InvalidRequest,
    }
)
"""LiteLLM's exceptions by the names of their classes, so that LiteLLM need not be imported here."""

_CLEAR_CLASSES: Final = frozenset(
    {"AuthenticationError", "NotFoundError", "LiteLLMUnknownProvider", "Timeout", "PaymentRequiredError"}
)
_CLASSES_FOR_ANY_STATUS: Final = frozenset({"APIError", "BadRequestError", "MidStreamFallbackError", "MockException"})
"""Exceptions that LiteLLM raises for other statuses than their name says: a 401 has been seen as a BadRequestError."""


def from_response(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """Translate an HTTP answer that is an error. ``headers`` have lower-case names."""
    text = body.decode(errors="replace")
    complaint = read_complaint(text)
    kind = _of_status(status)
    if status not in _CLEAR_STATUSES:
        kind = _of_signs(kind, complaint, text)
    return _build(kind, complaint, status, read_wait_s(headers, text))


def from_litellm(error: Exception) -> ProviderError:
    """Translate an exception of LiteLLM; one that is not known here becomes ``UnexpectedAnswer``."""
    if isinstance(error, TimeoutError):
        return TimedOut()
    known = next((cls.__name__ for cls in type(error).__mro__ if cls.__name__ in _BY_LITELLM_CLASS), None)
    if known is None:
        return UnexpectedAnswer(f"LiteLLM failed unexpectedly ({type(error).__name__}).")
    status = _status_of(error)
    text = str(getattr(error, "message", "") or error)
    complaint = _complaint_of(error, text)
    kind = _of_status(status) if status and known in _CLASSES_FOR_ANY_STATUS else _BY_LITELLM_CLASS[known]
    if known not in _CLEAR_CLASSES:
        kind = _of_signs(kind, complaint, text)
    return _build(kind, complaint, status, read_wait_s(headers_of(error), text))


def headers_of(error: Exception) -> dict[str, str]:
    """Give the provider's headers that a LiteLLM exception carries, with lower-case names."""
    headers = getattr(error, "litellm_response_headers", None)
    if not headers:
        headers = getattr(getattr(error, "response", None), "headers", None)
    return {str(name).lower(): str(value) for name, value in dict(headers or {}).items()}


def _complaint_of(error: Exception, text: str) -> Complaint:
    """Take the provider's own names from the error object that LiteLLM may have kept, and the words from its text."""
    body = getattr(error, "body", None)
    kept = read_complaint(orjson.dumps({"error": body}).decode()) if isinstance(body, dict) else read_complaint("")
    return replace(kept, message=text, text=text)


def _status_of(error: Exception) -> int | None:
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def _of_status(status: int) -> Kind:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:  # noqa: PLR2004 - the provider's own failures
        return Overloaded
    return InvalidRequest if status >= 400 else UnexpectedAnswer  # noqa: PLR2004 - the client's failures


def _of_signs(kind: Kind, complaint: Complaint, text: str) -> Kind:
    signs = complaint.signs
    asks_to_wait = kind is RateLimited and "retrydelay" in text.lower()  # Google calls any limit a quota
    for meant, words in _SIGNS:
        if any(word in signs for word in words) and not (meant is QuotaExhausted and asks_to_wait):
            return meant
    if kind is not AuthenticationFailed and any(word in signs for word in _SIGNS_OF_A_LIMIT):
        return RateLimited
    return ConnectionFailed if kind is Overloaded and _SIGN_OF_NO_CONNECTION in signs else kind


def _build(kind: Kind, complaint: Complaint, status: int | None, wait_s: float | None) -> ProviderError:
    named = (*((f"status {status}",) if status else ()), *complaint.names)
    sentence = (kind.__doc__ or "").rstrip(".")
    message = f"{sentence} ({', '.join(named)})." if named else f"{sentence}."
    if kind is InvalidRequest and complaint.excerpt:
        message = f"{message} It says: {complaint.excerpt}"
    return kind(message, status=status, retry_after_s=wait_s)
