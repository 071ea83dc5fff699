"""The one seam where what aio-pika and aiormq raise becomes an error of ours."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from shared.domain.errors import BrokerUnavailable


@contextmanager
def lost_broker_is_unavailable() -> Iterator[None]:
    """Turn every way in which a lost connection or channel shows itself into ``BrokerUnavailable``.

    What is to be told apart (an unroutable message, a missing queue) must be caught inside.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        if _is_ours(asyncio.current_task()):
            raise
        # aiormq ends what waits on a closing channel as if its caller had been cancelled.
        raise BrokerUnavailable("The channel to the message broker was closed.") from error
    except CONNECTION_EXCEPTIONS as error:
        raise BrokerUnavailable(f"The connection to the message broker failed: {cause(error)}") from error
    except Exception as error:
        # aiormq ends what waits with a bare Exception when the end of the stream falls between two frames.
        if type(error) is not Exception:
            raise
        raise BrokerUnavailable("The message broker closed the connection.") from error


def cause(error: BaseException) -> str:
    """Say in a few words what went wrong, without anything that a message held."""
    return f"{type(error).__name__}: {error}"[:300] if str(error) else type(error).__name__


def _is_ours(task: asyncio.Task[object] | None) -> bool:
    return task is not None and task.cancelling() > 0
