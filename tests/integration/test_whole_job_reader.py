"""A file store that is away keeps few hands busy."""

import asyncio
from pathlib import Path

from shared.adapters.files.object_files import ObjectFiles
from shared.adapters.files.whole_jobs import WholeJobs
from shared.domain.errors import FilesUnavailable
from shared.domain.files import LargeBodies
from tests.clock import ManualClock
from tests.integration.api_rig import ANSWER, TEAM, running_api
from workers.couriers.whole_job_reader import AWAY_S, READS_AT_ONCE, WholeJobReader


class WatchedFiles(ObjectFiles):
    """The real files; counts how often they are asked for."""

    asked = 0

    async def get(self, path: str) -> bytes:
        self.asked += 1
        return await super().get(path)


async def test_a_file_store_that_is_away_is_asked_by_few_and_only_now_and_then(tmp_path: Path, valkey_url: str) -> None:
    folder, elsewhere = tmp_path / "files", tmp_path / "elsewhere"
    files, clock = WatchedFiles(folder.as_uri()), ManualClock()
    async with running_api(valkey_url) as api:
        whole = WholeJobs(api.store, LargeBodies(files, inline_limit=10))
        job_id = (await api.submit()).json["id"]
        await api.finish(job_id, store=whole)
        jobs = WholeJobReader(api.store, whole, clock)
        folder.rename(elsewhere)
        folder.touch()
        for _ in range(2):
            before = files.asked
            found = await asyncio.gather(*(jobs.get(TEAM, job_id) for _ in range(50)), return_exceptions=True)
            assert {type(each) for each in found} == {FilesUnavailable}
            assert 0 < files.asked - before <= READS_AT_ONCE
            clock.seconds += AWAY_S
        folder.unlink()
        elsewhere.rename(folder)
        job = await jobs.get(TEAM, job_id)
        assert job is not None
        assert job.outcome is not None
        assert job.outcome.response == ANSWER
