"""The port to the receivers of webhooks: one attempt, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Receipt:
    """What came of one attempt.

    status: the receiver's HTTP status; None: none came.
    problem: what went wrong on the way, as a sentence without secrets; None: a whole answer came. With a status as well:
    its answer did not end in time.
    retry_after_s: seconds that the receiver asks us to wait; None: it does not say.
    duration_s: seconds that the attempt took.
    is_tried: whether the receiver was tried; if not, we had no room for it, and it is to be tried again.
    """

    status: int | None
    problem: str | None
    retry_after_s: float | None
    duration_s: float
    is_tried: bool = True


class WebhookSender(Protocol):
    """Sends to URLs that users have named, and so trusts neither the URL nor the receiver."""

    async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> Receipt:
        """POST ``body`` once, to an allowed address, and end within the sender's deadline.

        Never raises for what the URL or the receiver is or does: that stands in the receipt.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
