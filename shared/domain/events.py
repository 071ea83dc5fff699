"""What the program announces. Sinks turn announcements into logs, metrics and traces.

No event carries a prompt, an answer or a key.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened."""


@dataclass(frozen=True, slots=True)
class JobAccepted(Event):
    """A job was recorded and its publish confirmed, or answered from the cache at once."""

    job_id: str
    team: str
    lane: str
    priority: str
    status: str


@dataclass(frozen=True, slots=True)
class AttemptEnded(Event):
    """A call of a deployment came to its end."""

    job_id: str
    lane: str
    deployment: str
    outcome: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class BreakerMoved(Event):
    """A deployment's breaker opened, was probed with success (``ramping``), or closed."""

    lane: str
    deployment: str
    state: str


@dataclass(frozen=True, slots=True)
class FellBack(Event):
    """A job went on to another model, because the one it asked for failed or lets nothing through."""

    job_id: str
    lane: str
    to_lane: str
    reason: str


@dataclass(frozen=True, slots=True)
class JobRetried(Event):
    """A job went back to its queue after a failed attempt."""

    job_id: str
    lane: str
    outcome: str
    delay_s: float


@dataclass(frozen=True, slots=True)
class JobFinished(Event):
    """A job has its final status. ``waited_s``: from creation to this attempt's start."""

    job_id: str
    team: str
    lane: str
    status: str
    cache: str | None
    waited_s: float
    attempts: int


@dataclass(frozen=True, slots=True)
class MessageBuried(Event):
    """A message went to the dead letters."""

    job_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class SubmissionBuried(Event):
    """A submission that came as a message was rejected, and went to the dead letters. ``code``: of its error."""

    code: str


@dataclass(frozen=True, slots=True)
class ReplyUndeliverable(Event):
    """The queue that a job's end was to be told to is not there; the job's record says so."""

    job_id: str
    team: str


@dataclass(frozen=True, slots=True)
class DeadLettersReplayed(Event):
    """An administrator had dead letters published again. ``kept``: those that could not be."""

    replayed: int
    kept: int


@dataclass(frozen=True, slots=True)
class DeadLettersDropped(Event):
    """An administrator had dead letters thrown away."""

    dropped: int


@dataclass(frozen=True, slots=True)
class ClaimLost(Event):
    """A worker finished a job that was no longer its own; its result was dropped."""

    job_id: str
    fence: int


@dataclass(frozen=True, slots=True)
class ArrivalCrashed(Event):
    """Our own code failed on a message. It is tried again; a job that goes on failing so is given up as lost."""

    job_id: str
    error_type: str


@dataclass(frozen=True, slots=True)
class BackgroundTaskDied(Event):
    """Our own code failed in a task that nobody waits for. It begins anew."""

    task: str
    error_type: str


@dataclass(frozen=True, slots=True)
class LanePaused(Event):
    """A worker stopped taking from a lane for a while, or from one of its classes."""

    lane: str
    seconds: float
    reason: str
    job_class: str | None = None


@dataclass(frozen=True, slots=True)
class MessagesReturned(Event):
    """A worker gave back what it had fetched of a class, because it took nothing of it for that many seconds."""

    lane: str
    job_class: str
    seconds: float


@dataclass(frozen=True, slots=True)
class LaneSwitched(Event):
    """A worker follows an administrator who paused a lane, or resumed it."""

    lane: str
    is_paused: bool


@dataclass(frozen=True, slots=True)
class WebhookAttempted(Event):
    """An attempt to deliver a webhook ended. ``status``: the receiver's; None: it gave none. ``problem``: what went wrong."""

    delivery_id: str
    event_type: str
    number: int
    status: int | None
    problem: str | None
    duration_s: float


@dataclass(frozen=True, slots=True)
class EndpointDisabled(Event):
    """Nothing is sent to a team's webhook endpoint any more, until the team enables it again."""

    team: str
    endpoint_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class ServerLost(Event):
    """The broker or the store cannot be reached."""

    server: str
    message: str


@dataclass(frozen=True, slots=True)
class ServerBack(Event):
    """The broker or the store can be reached again."""

    server: str


@dataclass(frozen=True, slots=True)
class DutyRan(Event):
    """A duty of the scheduler ran; ``did`` says how much it found to do."""

    duty: str
    did: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class DutyFailed(Event):
    """A duty of the scheduler could not run; it will at its next time."""

    duty: str
    message: str


@dataclass(frozen=True, slots=True)
class FiringsTaken(Event):
    """A duty did nothing at so many of its times in a row: the store says that all were begun before. A clock is wrong."""

    duty: str
    times: int


@dataclass(frozen=True, slots=True)
class JobsStayStranded(Event):
    """So many recorded jobs cannot be published: their lane is configured no more, or their message is broken.

    job_id: one of them. They are tried again, after all others.
    """

    jobs: int
    job_id: str
    problem: str


@dataclass(frozen=True, slots=True)
class DeadlinesClose(Event):
    """So many jobs of a lane wait although their deadline is close; ``soonest_s``: seconds to the first of them."""

    lane: str
    waiting: int
    soonest_s: float


@dataclass(frozen=True, slots=True)
class LeadTaken(Event):
    """A scheduler leads from now on. ``term`` grows with each change of leader."""

    name: str
    term: int


@dataclass(frozen=True, slots=True)
class LeadLost(Event):
    """A scheduler leads no more: it was paused, or cut off from the store."""

    name: str
    term: int


@dataclass(frozen=True, slots=True)
class ConfigurationDoubt(Event):
    """The configuration holds something that has no effect here, or a doubtful one."""

    warning: str


@dataclass(frozen=True, slots=True)
class RoleStarted(Event):
    """A role began its work."""

    role: str
    name: str


@dataclass(frozen=True, slots=True)
class RoleStopped(Event):
    """A role ended. ``given_back``: deliveries it returned unfinished."""

    role: str
    name: str
    given_back: int = 0


Emit = Callable[[Event], None]
"""Where code announces; it never waits and never fails."""
