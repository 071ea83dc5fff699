"""A response whose client waits for it, piece by piece."""

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.domain.seats import Seats


class SeatedResponse(Response):
    """Another response, begun only if its team may have one more seat, which is free again when it has ended."""

    def __init__(self, response: Response, seats: Seats, team: str) -> None:
        """Take no seat yet: a response may be made and never be asked for."""
        super().__init__()
        self._response = response
        self._seats = seats
        self._team = team

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond; raises ``TooManyWaiting`` before anything is sent."""
        with self._seats.taken(self._team):
            await self._response(scope, receive, send)
