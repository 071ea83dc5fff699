"""Submissions by messages that are so large that they need the file store."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from producer_api import amqp_submissions
from shared.adapters.files.object_files import ObjectFiles
from shared.adapters.rabbitmq import door
from shared.domain.files import LargeBodies
from tests.eventually import eventually
from tests.integration.api_rig import CHAT
from tests.integration.desk_rig import Desk, open_desk
from tests.servers.rabbitmq import RestartableRabbitMQ

HANDS = 2
LARGE = {"request": CHAT | {"user": "x" * 2_000}}


@dataclass
class Disk:
    """The file store's disk. While it is away a file stands where it was."""

    folder: Path

    def go_away(self) -> None:
        self.folder.rename(self.folder.with_name("elsewhere"))
        self.folder.touch()

    def come_back(self) -> None:
        self.folder.unlink()
        self.folder.with_name("elsewhere").rename(self.folder)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "files")


@pytest.fixture
async def desk(
    restartable_rabbitmq: RestartableRabbitMQ, valkey_url: str, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    monkeypatch.setattr(amqp_submissions, "AFTER_TROUBLE_S", 0.05)
    monkeypatch.setattr(amqp_submissions, "MOST_AT_ONCE", HANDS)
    monkeypatch.setattr(door, "PREFETCH", HANDS)
    large = LargeBodies(ObjectFiles(disk.folder.as_uri()), inline_limit=1_000)
    async with open_desk(restartable_rabbitmq.url, valkey_url, large=large) as desk:
        yield desk


async def test_large_submissions_keep_out_no_small_one_while_the_file_store_is_away_and_none_is_lost(
    desk: Desk, disk: Disk
) -> None:
    disk.go_away()
    for number in range(2 * HANDS):
        await desk.submit(LARGE, message_id=f"m-{number}", user_id="guest")  # the broker sees to it that this is true
    await desk.submit()
    assert (await desk.job())["status"] == "queued"
    disk.come_back()

    async def all_are_published() -> bool:  # each is listed before that
        return len(desk.api.queue.published) == 2 * HANDS + 1

    await eventually(all_are_published)
    assert await desk.jobs() == 2 * HANDS + 1
    assert (await desk.api.submit(idempotency_key="m-0")).status == 409  # its id is still its
