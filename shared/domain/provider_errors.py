"""What a provider's failure means to us, as one tree; the seam in ``shared.adapters.providers`` translates into it.

::

    ProviderError
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

As in ``shared.domain.errors`` a class's docstring is its default message.
"""

from typing import ClassVar

from shared.domain.errors import ForebayError
from shared.domain.providers import ProviderAnswer, Spent


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
        partial: ProviderAnswer | None = None,
        spent: Spent | None = None,
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
