"""Settings from the environment (``FOREBAY_…``). What is not set there may stand in the configuration file."""

from pathlib import Path
from typing import Literal

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

LogLevel = Literal["debug", "info", "warning", "error"]


class Settings(BaseSettings):
    """One process's settings.

    amqp_url, redis_url: None means the embedded stack.
    files_url: where large requests and results go; None: below ``data_dir`` for the embedded stack, else nowhere.
    admin_key: in the clear only here; it is kept hashed everywhere else.
    heartbeat_file: touched every 2 s by a role that lives, for container health checks.
    """

    model_config = SettingsConfigDict(env_prefix="FOREBAY_", case_sensitive=False, extra="ignore", frozen=True)

    amqp_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    files_url: SecretStr | None = None
    admin_key: SecretStr | None = None
    config: Path | None = None
    data_dir: Path = Path("forebay-data")
    heartbeat_file: Path | None = None
    log_level: LogLevel = "info"
