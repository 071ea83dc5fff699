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
    │   ├── DeadlineCannotBeMet
    │   └── TooManyWaiting
    ├── NotFound
    ├── Expired
    ├── IdempotencyConflict
    ├── NotReplayable
    ├── AttemptComes
    ├── ConfigurationError
    ├── Unavailable                  try again later
    │   ├── BrokerUnavailable
    │   ├── StoreUnavailable
    │   └── FilesUnavailable
    ├── Unroutable                   a publish that no queue took
    ├── MalformedMessage             a message that cannot be read, now or later
    └── ProviderError                see ``shared.domain.provider_errors``

A class's docstring is its default message. No error here knows an HTTP status of ours:
``producer_api.error_responses`` maps them.
"""

from collections.abc import Sequence
from typing import ClassVar, Self


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


class TooManyWaiting(TooManyRequests):
    """As many clients wait for answers as may wait."""


class NotFound(ForebayError):
    """There is nothing by that name."""


class Expired(ForebayError):
    """It was here, and its time of retention is over."""


class IdempotencyConflict(ForebayError):
    """The idempotency key was used before, with another body."""


class NotReplayable(ForebayError):
    """This dead letter cannot be replayed."""


class AttemptComes(ForebayError):
    """An attempt of this delivery is under way, or comes within a minute."""


class ConfigurationError(ForebayError):
    """The configuration is not valid."""

    def __init__(self, path: str, found: object, allowed: str, others: Sequence["ConfigurationError"] = ()) -> None:
        """``path`` is the key's path (``model_list[0].litellm_params.rpm``), ``allowed`` says what may stand there.

        ``others``: what else is wrong; the message tells nothing of it.
        """
        super().__init__(f"{path}: found {'nothing' if found is None else repr(found)}; allowed: {allowed}")
        self.path = path
        self.found = found
        self.allowed = allowed
        self.others = tuple(others)

    @classmethod
    def together(cls, errors: Sequence["ConfigurationError"]) -> Self:
        """Give one error, the first, that knows the others; there must be one at least."""
        first, *others = errors
        return cls(first.path, first.found, first.allowed, others)

    @property
    def each(self) -> tuple["ConfigurationError", ...]:
        """All that is wrong, this included."""
        return (self, *self.others)


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
