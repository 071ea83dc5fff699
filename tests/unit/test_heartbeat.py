"""The file that says that a role is alive."""

from pathlib import Path

import pytest

from forebay.heartbeat import beat
from shared.domain.clock import SystemClock
from shared.domain.errors import ConfigurationError


async def test_the_file_is_there_while_the_role_lives(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    async with beat(file, SystemClock()):
        assert file.exists()
    assert not file.exists()


async def test_a_file_that_cannot_be_touched_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="FOREBAY_HEARTBEAT_FILE"):
        async with beat(tmp_path / "no-folder" / "alive", SystemClock()):
            pass
