"""The door for other programs that speak the broker's own language: they submit by messages, and get messages back.

Whoever may publish to the broker can put anything into ``reply_to``. What is sent there is therefore bound to names
that no queue of ours has, so that nobody can aim an answer at a work queue.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from shared.domain.errors import InvalidInput

DIRECT_REPLY: Final = "amq.rabbitmq.reply-to"
"""How the names of direct reply-to begin: they stand for a connected client, and are gone with it."""

REPLY_QUEUES: Final = "forebay.reply."
"""How the queues begin that clients make for replies."""

_LONGEST_QUOTE: Final = 60


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent to a client's queue.

    message_id: the same for the same news, however often it is sent.
    kind: what the body is, ``job`` or ``error``. retry_after_s: seconds after which it may help to try again.
    """

    body: bytes
    message_id: str
    kind: str
    correlation_id: str | None = None
    retry_after_s: float | None = None


class Parcel(Protocol):
    """A submission that came as a message, in this process's hands until it calls one of the two verbs."""

    @property
    def body(self) -> bytes:
        """As it was sent."""
        ...

    @property
    def message_id(self) -> str | None:
        """The client's name for it."""
        ...

    @property
    def reply_to(self) -> str | None:
        """Where the client wants to be answered: anything, until ``check_reply_to`` has seen it."""
        ...

    @property
    def correlation_id(self) -> str | None:
        """What the answer is to bear."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that are text, by their names in lower case."""
        ...

    @property
    def fault(self) -> str | None:
        """Why the message cannot be understood, whatever its body says; None: it can."""
        ...

    async def ack(self) -> None:
        """Everything is done. If the connection is gone, it will be delivered again."""
        ...

    async def give_back(self) -> None:
        """Nothing was done: it will be delivered again."""
        ...


class Door(Protocol):
    """The port."""

    async def open(self) -> None:
        """Begin to take submissions in. Raises ``BrokerUnavailable`` when the broker cannot be reached in time."""
        ...

    async def take(self) -> Parcel:
        """Wait for the next submission. Safe to cancel."""
        ...

    async def put_last(self, parcel: Parcel) -> None:
        """Give a parcel back to the end of the line, behind all that wait; by then it has a ``message_id``, if it had none.

        A crash in between may leave it there twice, with one ``message_id``.

        Raises:
            BrokerUnavailable, Unroutable: it is still in this process's hands.
        """
        ...

    async def close(self) -> None:
        """Take nothing in any more. What was taken can still be acknowledged."""
        ...

    async def leave(self) -> None:
        """Let go of everything: what was taken and not acknowledged will be delivered again."""
        ...

    async def reply(self, queue: str, reply: Reply) -> None:
        """Send a reply; when this returns, the broker has it in the queue, or has passed it on to its client.

        Raises:
            Unroutable: there is no such queue, or it takes no more, or its client is gone.
            BrokerUnavailable: not confirmed in time; the reply may or may not be there.
        """
        ...


def check_reply_to(queue: str) -> None:
    """Return if replies may be sent there.

    Raises:
        InvalidInput: they may not; nothing must be sent there, not even this.
    """
    if queue.startswith(DIRECT_REPLY) or (queue.startswith(REPLY_QUEUES) and queue != REPLY_QUEUES):
        return
    found = queue if len(queue) <= _LONGEST_QUOTE else queue[:_LONGEST_QUOTE] + "…"
    raise InvalidInput(
        f"`reply_to` must be `{DIRECT_REPLY}` or a queue whose name begins with `{REPLY_QUEUES}`; found {found!r}.",
        param="reply_to",
        code="reply_to_not_allowed",
    )


def is_direct(queue: str) -> bool:
    """Whether the name stands for a connected client, so that it never comes back once it is gone."""
    return queue.startswith(DIRECT_REPLY)
