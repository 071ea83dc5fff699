"""Events as log lines: JSON where a program reads, colours where a person does."""

import logging
import re
import sys
from dataclasses import asdict
from typing import Final

import structlog

from shared.domain.events import (
    ArrivalCrashed,
    AttemptEnded,
    BackgroundTaskDied,
    BreakerMoved,
    ClaimLost,
    ConfigurationDoubt,
    DeadLettersDropped,
    DeadlinesClose,
    DutyFailed,
    DutyRan,
    Emit,
    EndpointDisabled,
    Event,
    FellBack,
    FiringsTaken,
    JobAccepted,
    JobFinished,
    JobsStayStranded,
    LeadLost,
    MessageBuried,
    MessagesReturned,
    ReplyUndeliverable,
    ServerLost,
    SubmissionBuried,
    WebhookAttempted,
)

_LEVELS: Final[dict[type[Event], int]] = {
    ArrivalCrashed: logging.ERROR,
    AttemptEnded: logging.DEBUG,
    BackgroundTaskDied: logging.ERROR,
    BreakerMoved: logging.WARNING,
    ClaimLost: logging.WARNING,
    ConfigurationDoubt: logging.WARNING,
    DeadlinesClose: logging.WARNING,
    DeadLettersDropped: logging.WARNING,
    DutyFailed: logging.WARNING,
    DutyRan: logging.DEBUG,
    EndpointDisabled: logging.WARNING,
    FellBack: logging.DEBUG,
    FiringsTaken: logging.WARNING,
    JobAccepted: logging.DEBUG,
    JobFinished: logging.DEBUG,
    JobsStayStranded: logging.WARNING,
    LeadLost: logging.WARNING,
    MessageBuried: logging.WARNING,
    MessagesReturned: logging.DEBUG,
    ReplyUndeliverable: logging.WARNING,
    ServerLost: logging.ERROR,
    WebhookAttempted: logging.DEBUG,
    SubmissionBuried: logging.WARNING,
}
"""Everything else is information."""

_SAID_BY_EVENTS: Final = ("aio_pika", "aiormq")
"""Libraries whose own log lines would only repeat our events, a line for every try."""


def log_sink(level: str) -> Emit:
    """Give a sink that writes events of at least ``level`` (``debug``, ``info``, ``warning``, ``error``) to stderr."""
    for name in _SAID_BY_EVENTS:
        library = logging.getLogger(name)
        library.addHandler(logging.NullHandler())
        library.propagate = False
    is_for_people = sys.stderr.isatty()
    threshold = logging.getLevelNamesMapping()[level.upper()]
    logger = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer() if is_for_people else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
    )

    def emit(event: Event) -> None:
        event_level = _LEVELS.get(type(event), logging.INFO)
        if event_level >= threshold:
            logger.log(event_level, _sentence(type(event)), **asdict(event))

    return emit


def _sentence(event_type: type[Event]) -> str:
    """``JobFinished`` reads as ``job finished``."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", event_type.__name__).lower()
