import asyncio
import inspect

import aio_pika.exceptions
import aiormq.exceptions
import pytest

from shared.adapters.rabbitmq.broker_errors import cause, lost_broker_is_unavailable
from shared.domain.errors import BrokerUnavailable

LIBRARY_ERRORS: dict[str, type[Exception]] = {
    name: error
    for module in (aio_pika.exceptions, aiormq.exceptions)
    for name, error in inspect.getmembers(module, inspect.isclass)
    if issubclass(error, Exception)
}


@pytest.mark.parametrize("error", LIBRARY_ERRORS.values(), ids=LIBRARY_ERRORS.keys())
def test_no_error_of_the_library_gets_past_the_seam(error: type[Exception]) -> None:
    with pytest.raises(BrokerUnavailable), lost_broker_is_unavailable():
        raise _made(error)


@pytest.mark.parametrize("error", [ConnectionResetError(), TimeoutError(), Exception(), OSError(5, "I/O error")])
def test_other_ways_to_lose_a_connection_are_unavailability_too(error: Exception) -> None:
    with pytest.raises(BrokerUnavailable), lost_broker_is_unavailable():
        raise error


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("a bug")])
def test_a_bug_stays_a_bug(error: Exception) -> None:
    with pytest.raises(type(error)), lost_broker_is_unavailable():
        raise error


async def test_a_cancellation_by_the_library_is_unavailability() -> None:
    with pytest.raises(BrokerUnavailable), lost_broker_is_unavailable():
        raise asyncio.CancelledError


async def test_a_cancellation_of_ours_stays_one() -> None:
    async def wait() -> None:
        with lost_broker_is_unavailable():
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_a_cause_is_short() -> None:
    assert len(cause(ValueError("x" * 10_000))) <= 300


def _made(error: type[Exception]) -> Exception:
    """Make one without the frames that some want."""

    class Bare(error):  # type: ignore[misc, valid-type]  # the class is a parameter
        def __init__(self) -> None:
            Exception.__init__(self)

        def __str__(self) -> str:
            return ""

    return Bare()
