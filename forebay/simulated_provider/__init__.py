"""An OpenAI-compatible provider with true rate limits and faults, for trials and tests.

It shares no code with the broker, so that it cannot share its mistakes.
"""

from forebay.simulated_provider.options import Options
from forebay.simulated_provider.server import run, serve

__all__ = ["Options", "run", "serve"]
