"""Everything that can go wrong, as one tree.

::

    ForebayError
    ├── InvalidInput                 the client's fault: what was found, where, what is allowed
    │   ├── UnknownModel
    │   ├── BodyTooLarge
    │   └── Unsupported
    ├── NotAuthenticated
    ├── NotAllowed
    ├── TooManyRequests              it would be too much now: try again later
    │   ├── LimitExceeded
    │   ├── BacklogFull
    │   └── DeadlineCannotBeMet
    ├── NotFound
    ├── Expired
    ├── IdempotencyConflict
    ├── NotReplayable
    ├── ConfigurationError
    ├── Unavailable                  try again later
    │   ├── BrokerUnavailable
    │   ├── StoreUnavailable
    │   └── FilesUnavailable
    ├── Unroutable                   a publish that no queue took
    ├── MalformedMessage             a message that cannot be read, now or later
    └── ProviderError                what a provider's failure means to us
        ├── RateLimited
        ├── Overloaded
        ├── TimedOut
        ├── ConnectionFailed
        ├── ContextWindowExceeded
        ├── ContentRefused
        ├── InvalidRequest
        ├── AuthenticationFailed
        ├── QuotaExhausted
        ├── UnexpectedAnswer
        ├── StreamBroken
        ├── NoAttemptsLeft       nobody was called
        └── RequestLost          nobody was called

A class's docstring is its default message. No error here knows an HTTP status of ours:
``producer_api.error_responses`` maps them.
"""

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from shared.domain.providers import ProviderAnswer, Spent


class ForebayError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        """Take the message to show; None takes the class's docstring."""
        super().__init__(message or type(self).__doc__ or type(self).__name__)

    @property
    def message(self) -> str:
        """The sentence to show."""
        return str(self.args[0])


class InvalidInput(ForebayError):
    """The request is not valid."""

    code: ClassVar[str] = "invalid_request"

    def __init__(self, message: str | None = None, *, param: str | None = None, code: str | None = None) -> None:
        """Name in ``param`` the path of what is wrong (``request.messages[0].content``); ``code`` is for programs."""
        super().__init__(message)
        self.param = param
        self.error_code = code or self.code


class UnknownModel(InvalidInput):
    """The model does not exist."""

    code = "model_not_found"


class BodyTooLarge(InvalidInput):
    """The body is larger than allowed."""

    code = "body_too_large"


class Unsupported(InvalidInput):
    """This is not supported."""

    code = "unsupported_parameter"


class NotAuthenticated(ForebayError):
    """The API key is missing or not known here."""


class NotAllowed(ForebayError):
    """The API key may not do this."""


class TooManyRequests(ForebayError):
    """That is more than is taken in now."""

    def __init__(self, message: str | None = None, retry_after_s: float = 1.0) -> None:
        """``retry_after_s``: seconds after which there may be room, if nobody else takes it."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class LimitExceeded(TooManyRequests):
    """A limit of a team, a user, a feature, a key or the whole installation is exceeded."""


class BacklogFull(TooManyRequests):
    """As much waits as may wait."""


class DeadlineCannotBeMet(TooManyRequests):
    """The job would not be done by its deadline."""


class NotFound(ForebayError):
    """There is nothing by that name."""


class Expired(ForebayError):
    """It was here, and its time of retention is over."""


class IdempotencyConflict(ForebayError):
    """The idempotency key was used before, with another body."""


class NotReplayable(ForebayError):
    """This dead letter cannot be replayed."""


class ConfigurationError(ForebayError):
    """The configuration is not valid."""

    def __init__(self, path: str, found: object, allowed: str) -> None:
        """``path`` is the key's path (``model_list[0].litellm_params.rpm``), ``allowed`` says what may stand there."""
        super().__init__(f"{path}: found {'nothing' if found is None else repr(found)}; allowed: {allowed}")
        self.path = path
        self.found = found
        self.allowed = allowed


class Unavailable(ForebayError):
    """A server that is needed cannot be reached."""

    retry_after_s: ClassVar[float] = 2.0


class BrokerUnavailable(Unavailable):
    """The message broker cannot be reached or does not confirm."""


class StoreUnavailable(Unavailable):
    """The store cannot be reached."""


class FilesUnavailable(Unavailable):
    """The file store cannot be reached."""


class Unroutable(ForebayError):
    """No queue took the message."""


class MalformedMessage(ForebayError):
    """The message cannot be read."""


class ProviderError(ForebayError):
    """The provider did not answer as hoped.

    ``elsewhere_may_help``: another deployment may succeed with the same request.
    ``time_may_help``: the same deployment may succeed later.
    ``is_deployments_fault``: another request would have failed as well, so it counts against the deployment.
    """

    code: ClassVar[str] = "provider_error"
    elsewhere_may_help: ClassVar[bool] = True
    time_may_help: ClassVar[bool] = True
    is_deployments_fault: ClassVar[bool] = True

    def __init__(
        self,
        message: str | None = None,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        """``status`` is the provider's HTTP status, ``retry_after_s`` the seconds it asked us to wait."""
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class RateLimited(ProviderError):
    """The provider's rate limit is reached."""

    code = "rate_limited"
    is_deployments_fault = False


class Overloaded(ProviderError):
    """The provider is overloaded or failing."""

    code = "overloaded"


class TimedOut(ProviderError):
    """The provider did not answer in time."""

    code = "timed_out"


class ConnectionFailed(ProviderError):
    """The provider cannot be reached, or hung up."""

    code = "connection_failed"


class ContextWindowExceeded(ProviderError):
    """The request is longer than the model's context window."""

    code = "context_length_exceeded"
    time_may_help = False
    is_deployments_fault = False


class ContentRefused(ProviderError):
    """The provider's content policy refused the request."""

    code = "content_filter"
    time_may_help = False
    is_deployments_fault = False


class InvalidRequest(ProviderError):
    """The provider found the request invalid."""

    code = "invalid_request"
    elsewhere_may_help = False
    time_may_help = False
    is_deployments_fault = False


class AuthenticationFailed(ProviderError):
    """The provider did not accept the deployment's credential."""

    code = "provider_authentication_failed"
    time_may_help = False


class QuotaExhausted(ProviderError):
    """The account at the provider has no quota or money left."""

    code = "provider_quota_exhausted"
    time_may_help = False


class UnexpectedAnswer(ProviderError):
    """The provider's answer cannot be understood."""

    code = "unexpected_answer"


class StreamBroken(ProviderError):
    """The answer broke off after its first pieces were passed on."""

    code = "stream_broken"
    elsewhere_may_help = False
    time_may_help = False

    def __init__(
        self,
        message: str | None = None,
        *,
        status: int | None = None,
        partial: "ProviderAnswer | None" = None,
        spent: "Spent | None" = None,
    ) -> None:
        """``partial``: what came before, and its usage if the provider said that; ``spent``: what that used and cost."""
        super().__init__(message, status=status)
        self.partial = partial
        self.spent = spent


class NoAttemptsLeft(ProviderError):
    """Every deployment that would do was tried as often as is allowed."""

    code = "no_attempts_left"
    elsewhere_may_help = False
    time_may_help = False
    is_deployments_fault = False


class RequestLost(ProviderError):
    """The job's request is gone from the file store."""

    code = "request_lost"
    elsewhere_may_help = False
    time_may_help = False
    is_deployments_fault = False
