"""Batches as the kill tests use them."""

import uuid
from collections.abc import AsyncIterator
from typing import Any, Final

from forebay.client import ApiError, AsyncClient, JobQuery
from tests.e2e.processes import chat_line
from tests.eventually import eventually
from tests.servers.provider import SimulatedProvider

_UNAVAILABLE: Final = 503


async def submit(client: AsyncClient, jobs: int) -> str:
    """Submit that many different jobs at once; give the batch's id.

    As a good client does, it sends the same upload again after a 503: a broker on a loaded machine may confirm late.
    """
    idempotency_key = uuid.uuid4().hex

    async def lines() -> AsyncIterator[bytes]:
        for number in range(jobs):
            yield chat_line(f"What is {number} times {number}?")

    async def upload() -> dict[str, Any] | None:
        try:
            return await client.submit_bulk(lines(), idempotency_key)
        except ApiError as error:
            if error.status != _UNAVAILABLE:
                raise
            return None

    receipt = await eventually(upload)
    assert receipt is not None
    assert receipt["accepted"] == jobs
    assert receipt["rejected"] == []
    batch_id: str = receipt["batch_id"]
    return batch_id


async def progressed(client: AsyncClient, batch_id: str, share: float) -> None:
    """Wait until that share of the batch's jobs has succeeded."""

    async def look() -> bool:
        counts = (await client.batch(batch_id))["request_counts"]
        return bool(counts["completed"] >= share * counts["total"] > 0)

    await eventually(look, within_s=60)


async def everything_succeeded_once(client: AsyncClient, batch_id: str, jobs: int) -> list[dict[str, Any]]:
    """Wait for the batch, and check that every job of it succeeded, with one result each; give them."""
    batch = await eventually(lambda: _completed(client, batch_id), within_s=100)
    assert batch["request_counts"] == {"total": jobs, "completed": jobs, "failed": 0}
    listed = [job async for job in client.jobs(JobQuery(batch=batch_id))]
    assert len({job["id"] for job in listed}) == len(listed) == jobs
    assert {job["status"] for job in listed} == {"succeeded"}
    assert all(job["response"]["choices"][0]["message"]["content"] for job in listed)
    return listed


async def calls_begun(provider: SimulatedProvider) -> int:
    """Count the calls that the provider admitted, whatever came of them."""
    contents = (await provider.stats(contents=True))["contents"]
    return sum(counts["begun"] for counts in contents.values())


async def _completed(client: AsyncClient, batch_id: str) -> dict[str, Any]:
    batch = await client.batch(batch_id)
    return batch if batch["status"] == "completed" else {}
