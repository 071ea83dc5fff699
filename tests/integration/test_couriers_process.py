"""The couriers' process, put together as `forebay couriers` does."""

import asyncio
import json
from pathlib import Path

from forebay.roles import Process
from shared.bootstrap.connections import open_connections
from shared.bootstrap.servers import Servers
from shared.domain.callbacks import Callback
from shared.domain.clock import SystemClock
from shared.domain.events import Event
from shared.domain.ids import new_id
from shared.domain.job import JobSpec, JobStatus, Outcome
from shared.domain.job_intake import NewJob
from shared.domain.lanes import MAILBOXES, Priority
from shared.domain.notices import Announcer
from shared.wire.config import load
from tests.eventually import eventually
from tests.servers.receiver import receiver

MODEL = {"model_name": "sim", "litellm_params": {"model": "openai/sim", "api_base": "http://127.0.0.1:9/v1"}}
CONFIGURATION = {"model_list": [MODEL], "forebay": {"webhooks": {"allow_networks": ["127.0.0.0/8"]}}}


async def test_webhooks_are_carried_while_the_file_store_is_away(valkey_url: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(CONFIGURATION), encoding="utf-8")
    configuration, clock, events = load(file, {}), SystemClock(), list[Event]()
    servers = Servers(valkey_url, None, (tmp_path / "files").as_uri())
    async with (
        open_connections(servers, 600.0, clock, events.append, inline_limit=10) as connections,
        receiver() as hook,
    ):
        hook.secret = (await connections.webhook_secrets.secret("red")).current
        now = clock.now()
        callback = Callback(hook.url)
        spec = JobSpec(
            *(new_id("job", now), "red", "/v1/chat/completions", "sim", "sim", Priority.STANDARD, now),
            callback=callback,
        )
        await connections.records.accept([NewJob(spec, b"{}")])
        claim = await connections.records.claim(spec, "worker-1")
        outcome = Outcome(JobStatus.SUCCEEDED, response={"text": "a long answer"})
        finish = await connections.records.finish(spec, claim.fence, outcome, ())
        await connections.queue.declare(sorted(MAILBOXES))
        await Announcer(connections.queue, connections.outbox).tell(finish.notices)
        (tmp_path / "files").rename(tmp_path / "elsewhere")

        process = Process(configuration, configuration.catalog(lambda _: None), clock, events.append)
        running = asyncio.create_task(process.couriers(connections, lambda: None))

        async def is_told() -> bool:
            return len(hook.received) == 1

        await eventually(is_told)
        process.stop.set()
        await running
    assert hook.received[0].event["data"]["response_omitted"] is True
