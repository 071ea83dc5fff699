"""Which server the commands talk to, and what to say when that fails."""

import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

import typer

from forebay.cli.options import DEFAULT_HOST, DEFAULT_PORT
from forebay.cli.screen import say
from shared.domain.errors import ForebayError, NotAuthenticated

if TYPE_CHECKING:
    from forebay.client import AsyncClient

DEFAULT_URL: Final = f"http://{DEFAULT_HOST}:{DEFAULT_PORT}"
INTERRUPTED: Final = 130
"""Exit status after Ctrl-C, as shells give it."""

_NOT_AUTHENTICATED: Final = 401

Result = TypeVar("Result")


def talk(work: Callable[["AsyncClient"], Awaitable[Result]], on_interrupt: Callable[[], str] | None = None) -> Result:
    """Connect to the server of FOREBAY_URL, do the work, give its result.

    ``on_interrupt`` tells what to say when Ctrl-C ends it; then the exit status is 130.

    Raises:
        ForebayError: with a hint at what to do, where the address or the key is at fault.
    """
    import asyncio

    url = os.environ.get("FOREBAY_URL") or DEFAULT_URL
    key = os.environ.get("FOREBAY_API_KEY") or os.environ.get("FOREBAY_ADMIN_KEY")
    if not key:
        raise NotAuthenticated(
            "No API key: set FOREBAY_API_KEY to the key that `forebay up` printed at its first start, "
            "or to the FOREBAY_ADMIN_KEY that it was started with."
        )
    try:
        return asyncio.run(_talk(url, key, work))
    except KeyboardInterrupt:
        if on_interrupt is not None:
            say(on_interrupt())
        raise typer.Exit(INTERRUPTED) from None


async def _talk(url: str, key: str, work: Callable[["AsyncClient"], Awaitable[Result]]) -> Result:
    from forebay.client import ApiError, AsyncClient, Unreachable

    async with AsyncClient(url, key) as client:
        try:
            return await work(client)
        except Unreachable as error:
            raise Unreachable(f"{error.message}. Start it with `forebay up`, or set FOREBAY_URL.") from error
        except ApiError as error:
            if error.status != _NOT_AUTHENTICATED:
                raise
            raise ForebayError(
                f"{url} does not know this key. Check FOREBAY_API_KEY (or FOREBAY_ADMIN_KEY)."
            ) from error
