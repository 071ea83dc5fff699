"""An API and a worker that share a file store, and a provider whose answers are as large as is wanted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from shared.adapters.files.filed_job_store import FiledJobStore
from shared.adapters.files.object_files import ObjectFiles
from shared.adapters.files.whole_jobs import WholeJobs
from shared.domain.files import LargeBodies
from shared.domain.retry import RetryPolicy
from shared.domain.work_queue import Delivery
from tests.integration.api_rig import KEY, TEAM, Answer, Api, running_api
from tests.integration.worker_rig import Rig, worker_rig
from tests.servers.provider import SimulatedProvider
from tests.servers.web import serving
from workers.executor import Verdict

MIB = 1024 * 1024
BODY_LIMIT = 8 * MIB
PROMPT = "canary-prompt "


@dataclass
class Provider:
    """answer: the text it says. asked: the last user message of each call."""

    answer: str = "Aare."
    asked: list[str] = field(default_factory=list)

    async def complete(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.asked.append(asked["messages"][-1]["content"])
        message = {"role": "assistant", "content": self.answer}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return web.json_response({"object": "chat.completion", "choices": [choice], "usage": usage})


@dataclass
class Road:
    """The way of a job. folder: the file store's."""

    api: Api
    rig: Rig
    provider: Provider
    files: ObjectFiles
    folder: Path

    async def submit(self, text: str, idempotency_key: str | None = None, **fields: object) -> Answer:
        request = {"model": "sim", "messages": [{"role": "user", "content": text}]}
        fields["request"] = request
        return await self.api.submit(KEY, idempotency_key, **fields)

    async def accepted(self, text: str, **fields: object) -> str:
        """Submit, and give the id of the accepted job."""
        answer = await self.submit(text, None, **fields)
        assert answer.status == 202, answer.body[:500]
        job_id: str = answer.json["id"]
        return job_id

    async def work(self, delivery: Delivery | None = None) -> Verdict:
        """Let the worker handle the next delivery, or this one."""
        return await self.rig.executor().execute(delivery or await self.rig.take(), self.rig.lane)

    async def shown(self, job_id: str) -> dict[str, Any]:
        """The job as its client sees it."""
        answer = await self.api.get(f"/v1/jobs/{job_id}")
        assert answer.status == 200, answer.body[:500]
        job: dict[str, Any] = answer.json
        return job

    def filed(self, kind: str) -> list[Path]:
        """The files of ``requests`` or ``results``."""
        return [path for path in (self.folder / kind).rglob("*") if path.is_file()]

    def go_away(self) -> None:
        """Take the file store's disk out; a file stands where it was."""
        self.folder.rename(self.folder.with_name("elsewhere"))
        self.folder.touch()

    def come_back(self) -> None:
        """Put the disk in again."""
        self.folder.unlink()
        self.folder.with_name("elsewhere").rename(self.folder)


@asynccontextmanager
async def road(valkey_url: str, folder: Path) -> AsyncIterator[Road]:
    """Run the parts until the block ends."""
    provider = Provider()
    app = web.Application(client_max_size=2**30)
    app.router.add_post("/v1/chat/completions", provider.complete)
    files = ObjectFiles(folder.as_uri())
    large = LargeBodies(files)
    async with (
        serving(app) as url,
        aiohttp.ClientSession() as session,
        worker_rig(valkey_url, RetryPolicy(), provider=SimulatedProvider(f"{url}/v1", session)) as rig,
    ):
        records = rig.parts.store
        rig.parts = replace(rig.parts, store=FiledJobStore(records, large), files=files)
        whole = WholeJobs(records, large)
        changes: dict[str, Any] = {"large": large, "store": whole, "catalog": rig.catalog, "body_limit": BODY_LIMIT}
        async with running_api(valkey_url, **changes) as api:
            yield Road(api, rig, provider, files, folder)


__all__ = ["BODY_LIMIT", "MIB", "PROMPT", "TEAM", "Provider", "Road", "road"]
