"""Fixtures and settings for every suite."""

import os
import signal

from hypothesis import settings

os.environ.pop("COLUMNS", None)  # pytest-xdist sets it, and what is shown would be cut
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job ignores it, and so would our commands
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("forebay", deadline=None, derandomize=True)  # a busy machine is not a finding
settings.load_profile("forebay")

pytest_plugins = ["tests.servers.rabbitmq", "tests.servers.valkey"]
