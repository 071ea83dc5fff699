"""Lanes and classes: which queue a job waits in.

A *lane* is a model group: what its deployments cannot take now holds back nobody else. Within a
lane a job waits in the queue of its *class*. Each of the classes that people wait for has a
*surplus* sibling, for the part of a team's backlog that is beyond its fair share.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from shared.domain.durations import parse_duration


class Priority(StrEnum):
    """What a client asks for; it decides the class."""

    INTERACTIVE = "interactive"
    STANDARD = "standard"
    BULK = "bulk"
    DEFERRABLE = "deferrable"


WINDOW_MARGIN: Final = 0.05
"""The share of a deferrable window that is kept back for the work itself."""

LEAST_MARGIN_S: Final = 5.0
MOST_OF_A_WINDOW: Final = 0.4
"""A call takes its seconds however short the window is: so many are kept back, but never more than this share of it."""

_MAY_BE_MISSING: Final = 0.01
"""The share of a window by which a deadline may be too near for it: the time between asking and being queued."""


@dataclass(frozen=True, slots=True)
class DeferrableWindow:
    """A class of deferrable work: jobs whose deadline is some ``seconds`` away, or more, wait here."""

    label: str
    seconds: float

    @classmethod
    def of(cls, label: str) -> Self:
        """Give the window that is as long as its label says (``4h``); raises ``ValueError`` for no duration."""
        return cls(label, parse_duration(label))

    @property
    def patience_s(self) -> float:
        """Seconds a job waits here at most; then it moves to the ``overdue_queue``, with the margin left to be done in."""
        return self.seconds - self.margin_s

    @property
    def margin_s(self) -> float:
        """Seconds that are left of the window when its patience is over."""
        return max(self.seconds * WINDOW_MARGIN, min(LEAST_MARGIN_S, self.seconds * MOST_OF_A_WINDOW))

    def fits(self, seconds_to_deadline: float) -> bool:
        """Whether a job with so much time may wait here."""
        return self.seconds * (1 - _MAY_BE_MISSING) <= seconds_to_deadline


DEFERRABLE_WINDOWS: Final = tuple(DeferrableWindow.of(label) for label in ("1h", "4h", "24h", "7d"))
"""Those of an installation that configures no others; shortest first, as all of them are."""

DEFAULT_WEIGHTS: Final = {
    Priority.INTERACTIVE: 64,
    Priority.STANDARD: 16,
    Priority.BULK: 4,
    Priority.DEFERRABLE: 1,
}
"""Turns that a class gets for each turn of a deferrable one, while all of them have work."""


@dataclass(frozen=True, slots=True, order=True)
class JobClass:
    """One waiting room of a lane, such as ``standard``, ``standard.surplus`` or ``deferrable.24h``."""

    name: str

    @property
    def priority(self) -> Priority:
        """The priority whose weight this class has."""
        return Priority(self.name.partition(".")[0])

    @property
    def is_surplus(self) -> bool:
        """Whether this is the room that is served only with what its sibling leaves."""
        return self.name.endswith(".surplus")

    @property
    def window(self) -> DeferrableWindow | None:
        """The window of a deferrable class; None for the others."""
        priority, _, label = self.name.partition(".")
        return DeferrableWindow.of(label) if priority == Priority.DEFERRABLE else None

    @property
    def sibling(self) -> Self:
        """The main class of a surplus class; a main class is its own."""
        return type(self)(self.name.removesuffix(".surplus"))

    @property
    def surplus(self) -> Self:
        """The surplus class of a main class; what has none (deferrable work, a surplus class) is its own."""
        return self if self.is_surplus or self.window is not None else type(self)(f"{self.name}.surplus")


def classes_with(windows: Sequence[DeferrableWindow]) -> tuple[JobClass, ...]:
    """Give every class of a lane, in the order of precedence; ``windows``: of deferrable work, the shortest first."""
    waited_for = (Priority.INTERACTIVE, Priority.STANDARD, Priority.BULK)
    pairs = [JobClass(f"{priority}{suffix}") for priority in waited_for for suffix in ("", ".surplus")]
    return (*pairs, *(JobClass(f"{Priority.DEFERRABLE}.{window.label}") for window in windows))


def classes_of(lane: str, windows: Sequence[DeferrableWindow]) -> tuple[JobClass, ...]:
    """Give every class of a lane; a mailbox has only one."""
    return (MAIL,) if lane in MAILBOXES else classes_with(windows)


CLASSES: Final = classes_with(DEFERRABLE_WINDOWS)
"""Every class of a lane with the usual windows, in the order of precedence."""


@dataclass(frozen=True, slots=True, order=True)
class QueueName:
    """The work queue of one class of one lane."""

    lane: str
    job_class: JobClass


class Mailbox(StrEnum):
    """A lane that is no model's: what waits here is work of our own, in one queue, which bears this name."""

    WEBHOOKS = "forebay.webhooks"
    REPLIES = "forebay.replies"

    @property
    def queue(self) -> QueueName:
        """Its one queue."""
        return QueueName(self.value, MAIL)


MAIL: Final = JobClass(Priority.STANDARD)
"""The class of what waits in a mailbox."""

MAILBOXES: Final = frozenset(mailbox.value for mailbox in Mailbox)

OURS: Final = "forebay."
"""How the names of our own queues begin, those of the mailboxes among them. No model's name may."""


def class_for(
    priority: Priority,
    seconds_to_deadline: float | None = None,
    windows: Sequence[DeferrableWindow] = DEFERRABLE_WINDOWS,
) -> JobClass:
    """Give the class a new job waits in.

    A deferrable job goes to the longest window that ends before its deadline (a hundredth of the window
    may be missing); one without a deadline to the longest of all, one whose deadline is nearer than every
    window to ``standard``.
    """
    if priority is not Priority.DEFERRABLE:
        return JobClass(priority.value)
    if seconds_to_deadline is None:
        return JobClass(f"{Priority.DEFERRABLE}.{windows[-1].label}")
    fitting = [window for window in windows if window.fits(seconds_to_deadline)]
    return JobClass(f"{Priority.DEFERRABLE}.{fitting[-1].label}") if fitting else JobClass(Priority.STANDARD)


def overdue_queue(lane: str) -> QueueName:
    """Give the queue in which deferrable work waits once its window's patience is over.

    Not ``standard``: behind a backlog there it would miss its deadline. It goes before standard work, and beside
    interactive work it has the few turns of a surplus, without that one's reserve.
    """
    return QueueName(lane, JobClass(Priority.INTERACTIVE).surplus)
