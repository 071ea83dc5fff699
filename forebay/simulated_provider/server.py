"""Running the provider."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web

from forebay.simulated_provider.app import create_app
from forebay.simulated_provider.options import Options

OnReady = Callable[[str], None]


async def serve(options: Options, on_ready: OnReady) -> None:
    """Serve until cancelled; ``on_ready`` gets the base URL for clients (``http://127.0.0.1:9000/v1``) once it listens.

    Raises:
        OSError: the address cannot be listened on.
    """
    runner = web.AppRunner(
        create_app(options), access_log=None, handler_cancellation=True, handle_signals=False, shutdown_timeout=1.0
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, options.host, options.port, backlog=4096).start()
        host, port = runner.addresses[0][:2]
        on_ready(f"http://{f'[{host}]' if ':' in host else host}:{port}/v1")
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def run(options: Options, on_ready: OnReady) -> None:
    """Serve in the main thread until SIGINT or SIGTERM, on uvloop where it is installed."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve_until_signalled(options, on_ready))


async def _serve_until_signalled(options: Options, on_ready: OnReady) -> None:
    serving = asyncio.create_task(serve(options, on_ready))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    with suppress(asyncio.CancelledError):
        await serving


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - absent on some systems
    except ImportError:
        return None
    return uvloop.new_event_loop
