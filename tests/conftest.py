"""Fixtures and settings for every suite."""

from hypothesis import settings

settings.register_profile("forebay", deadline=None, derandomize=True)  # a busy machine is not a finding
settings.load_profile("forebay")

pytest_plugins = ["tests.servers.rabbitmq", "tests.servers.valkey"]
