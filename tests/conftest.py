"""Fixtures and settings for every suite."""

import os

from hypothesis import settings

os.environ.pop("COLUMNS", None)  # pytest-xdist sets it, and what is shown would be cut

settings.register_profile("forebay", deadline=None, derandomize=True)  # a busy machine is not a finding
settings.load_profile("forebay")

pytest_plugins = ["tests.servers.rabbitmq", "tests.servers.valkey"]
