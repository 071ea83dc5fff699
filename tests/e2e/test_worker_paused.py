"""A worker that is stopped in its tracks for two leases, while it waits for an answer, and then goes on."""

import os
import signal
from pathlib import Path

import pytest

from shared.adapters.redis.connection import connect
from shared.adapters.redis.keys import of_team
from shared.domain.clock import SystemClock
from shared.domain.tenants import DEFAULT_TEAM
from tests.e2e.installations import cluster
from tests.e2e.processes import write_config
from tests.eventually import eventually
from tests.servers.provider import simulated_provider
from workers.lease import LEASE_S

TEXT = "Slow the first time"


@pytest.mark.hazard(2)
async def test_a_worker_paused_for_two_leases_and_woken_changes_nothing_of_what_another_did(
    tmp_path: Path, rabbitmq_url: str
) -> None:
    async with (
        simulated_provider() as provider,
        cluster(tmp_path, write_config(tmp_path, provider.url), rabbitmq_url) as installation,
    ):
        client, store = installation.client, connect(installation.store.url)
        await provider.faults("hang", contains=TEXT, count=1)
        request = {"model": "sim", "messages": [{"role": "user", "content": TEXT}]}
        job_id = (await client.submit({"request": request, "cache": {"mode": "off"}}))["id"]
        await provider.wait_for(in_flight=1)
        holder = await store.hget(of_team(DEFAULT_TEAM).job(job_id), "holder")
        assert isinstance(holder, bytes)
        await store.aclose()
        pid = int(holder.decode().split("-")[-2])
        clock = SystemClock()
        paused_at = clock.monotonic()
        os.kill(pid, signal.SIGSTOP)
        try:
            done = await client.wait_for_job(job_id)

            async def two_leases_are_over() -> bool:
                return clock.monotonic() - paused_at > 2 * LEASE_S

            await eventually(two_leases_are_over)
            await provider.release()  # its answer lies ready for it
        finally:
            os.kill(pid, signal.SIGCONT)
        [paused] = [worker for worker in installation.processes if worker.process.pid == pid]

        async def has_lost_its_claim() -> bool:
            return b'"claim lost"' in paused.said and job_id.encode() in paused.said

        await eventually(has_lost_its_claim)
        assert done["status"] == "succeeded"
        assert await client.get(job_id) == done
        assert len(done["attempts"]) == 1
        assert (await provider.calls_of(TEXT))["begun"] == 2
