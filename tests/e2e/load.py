"""Work for an installation, and what became of it."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Any

from forebay.client import ApiError, AsyncClient, JobQuery, is_finished
from tests.eventually import eventually

Job = dict[str, Any]
"""A job as a client sends it, or as the server shows it."""


def job(model: str, text: str, **members: object) -> Job:
    """Give a chat job; ``members`` of it, such as its ``priority``."""
    return {"request": {"model": model, "messages": [{"role": "user", "content": text}]}, **members}


async def upload(client: AsyncClient, jobs: Iterable[Job]) -> str:
    """Submit jobs as one batch; give its id.

    As a good client does, it sends the same upload again after a 503: a broker on a loaded machine may confirm late.
    """
    lines, idempotency_key = [json.dumps(each).encode() + b"\n" for each in jobs], uuid.uuid4().hex

    async def stream() -> AsyncIterator[bytes]:
        for line in lines:
            yield line

    async def send() -> dict[str, Any] | None:
        try:
            return await client.submit_bulk(stream(), idempotency_key)
        except ApiError as error:
            if error.status != 503:
                raise
            return None

    receipt = await eventually(send, within_s=60)
    assert receipt is not None
    assert (receipt["accepted"], receipt["rejected"]) == (len(lines), [])
    batch_id: str = receipt["batch_id"]
    return batch_id


async def answered(client: AsyncClient, batch_id: str) -> int:
    """Count a batch's jobs that have succeeded."""
    completed: int = (await client.batch(batch_id))["request_counts"]["completed"]
    return completed


async def all_finished(client: AsyncClient, batch_id: str, within_s: float = 60.0) -> list[Job]:
    """Wait until nothing of a batch will change any more; give its jobs."""

    async def look() -> bool:
        return is_finished(await client.batch(batch_id))

    await eventually(look, within_s)
    return [found async for found in client.jobs(JobQuery(batch=batch_id))]


async def all_answered(client: AsyncClient, batch_id: str, within_s: float = 60.0) -> list[Job]:
    """As ``all_finished``; every job must have succeeded."""
    jobs = await all_finished(client, batch_id, within_s)
    assert [(found["status"], found["error"]) for found in jobs if found["status"] != "succeeded"] == []
    return jobs


async def steadily(
    client: AsyncClient, jobs: Iterable[Job], per_second: float, done: list[Job] | None = None
) -> list[Job]:
    """Submit jobs one by one at an even rate; give them when all are finished. Each joins ``done`` when it is."""
    loop = asyncio.get_running_loop()
    begun, finished = loop.time(), [] if done is None else done
    async with asyncio.TaskGroup() as asking:
        for number, each in enumerate(jobs):
            await asyncio.sleep(begun + number / per_second - loop.time())
            asking.create_task(_ask_into(finished, client, each))
    return finished


async def ask(client: AsyncClient, asked: Job) -> Job:
    """Submit one job; give it when it is finished."""
    accepted = await client.submit(asked, uuid.uuid4().hex)
    return await client.wait_for_job(accepted["id"])


async def _ask_into(finished: list[Job], client: AsyncClient, asked: Job) -> None:
    finished.append(await ask(client, asked))


def waited_s(found: Job) -> float:
    """Give the seconds from a job's creation to the start of its first call."""
    return moment(found["attempts"][0]["started"]) - moment(found["created_at"])


def took_s(found: Job) -> float:
    """Give the seconds from a job's creation to its end."""
    return moment(found["finished_at"]) - moment(found["created_at"])


def moment(text: str) -> float:
    """Give a moment of a job in seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()
