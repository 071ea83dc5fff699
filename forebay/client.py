"""Forebay's own API from Python: ``AsyncClient``, and ``Client`` for code without an event loop.

A call is repeated only where repeating is safe: when nothing was sent, when it only reads or
cancels, or when an idempotency key makes a second submission the first one again.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

import orjson

from forebay.client_dead_letters import DeadLetterCalls
from forebay.line import MAX_TRIES, ApiError, Call, Json, Line, Unreachable
from shared.domain.clock import Clock, SystemClock
from shared.domain.job import FINAL_STATUSES

__all__ = ["MAX_TRIES", "ApiError", "AsyncClient", "Client", "JobQuery", "Json", "Unreachable", "is_finished"]

_LONG_POLL_S: Final = 30.0
_SHORTEST_POLL_S: Final = 0.2
_LONGEST_POLL_S: Final = 2.0
_PAGE: Final = 100
_TOO_MANY_WAITING: Final = "too_many_waiting"


@dataclass(frozen=True, slots=True)
class JobQuery:
    """Which jobs to list; None: all."""

    status: str | None = None
    priority: str | None = None
    batch: str | None = None

    def parameters(self) -> dict[str, str]:
        """Give the query's members that are set."""
        members = {"status": self.status, "priority": self.priority, "batch": self.batch}
        return {name: value for name, value in members.items() if value is not None}


class AsyncClient:
    """A connection to one server, for one API key. Use it with ``async with``.

    Every method raises ``ApiError`` when the server refuses, ``Unreachable`` when there is none.
    """

    def __init__(self, url: str, api_key: str, clock: Clock | None = None) -> None:
        """``url`` is the server's root, such as ``http://127.0.0.1:8080``."""
        self._clock = clock or SystemClock()
        self._line = Line(url, api_key, self._clock)

    async def __aenter__(self) -> Self:
        await self._line.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._line.close()

    @property
    def dead_letters(self) -> DeadLetterCalls:
        """What an administrator's key may do with dead letters."""
        return DeadLetterCalls(self._line)

    @property
    def was_reached(self) -> bool:
        """Whether the server ever answered, so that waiting for it may be worth while."""
        return self._line.was_reached

    async def submit(self, job: Json, idempotency_key: str | None = None) -> Json:
        """Submit one job; give it as the server has it. Repeated after a failure only with an idempotency key."""
        headers = {"content-type": "application/json"} | _idempotency(idempotency_key)
        return await self._line.send(Call("POST", "/v1/jobs", body=orjson.dumps(job), headers=headers))

    async def submit_bulk(self, lines: AsyncIterable[bytes], idempotency_key: str | None = None) -> Json:
        """Stream jobs, a JSON object a line (newline included), as one batch; give its id and what was rejected.

        Never repeated here, because ``lines`` can be read only once. With the same idempotency key and
        the same lines, a further call continues where a broken one ended.
        """
        headers = {"content-type": "application/x-ndjson"} | _idempotency(idempotency_key)
        return await self._line.send(Call("POST", "/v1/jobs/bulk", body=lines, headers=headers))

    async def get(self, job_id: str, wait_s: float | None = None) -> Json:
        """Give a job; with ``wait_s`` not before it is finished or that many seconds are over."""
        parameters = None if wait_s is None else {"wait": f"{wait_s:g}"}
        return await self._line.send(Call("GET", f"/v1/jobs/{job_id}", parameters))

    async def cancel(self, job_id: str) -> Json:
        """Cancel a job; give it as it is then."""
        return await self._line.send(Call("POST", f"/v1/jobs/{job_id}/cancel", is_repeatable=True))

    async def jobs(self, query: JobQuery, page: int = _PAGE) -> AsyncIterator[Json]:
        """Yield jobs, newest first, fetching ``page`` of them at a time."""
        async for job in self._line.pages("/v1/jobs", query.parameters() | {"limit": str(page)}):
            yield job

    async def create_key(self, wish: Json) -> Json:
        """Make a key, with an administrator's; give it with its ``key``, which is shown this once. Never repeated."""
        headers = {"content-type": "application/json"}
        return await self._line.send(Call("POST", "/v1/keys", body=orjson.dumps(wish), headers=headers))

    async def keys(self, team: str | None = None, page: int = _PAGE) -> AsyncIterator[Json]:
        """Yield the keys, newest first, with an administrator's; ``team`` None: of all teams."""
        of_team = {} if team is None else {"team": team}
        async for key in self._line.pages("/v1/keys", of_team | {"limit": str(page)}):
            yield key

    async def revoke_key(self, key_id: str) -> Json:
        """Let a key open nothing any more, with an administrator's; give it as it is then."""
        return await self._line.send(Call("POST", f"/v1/keys/{quote(key_id, safe='')}/revoke", is_repeatable=True))

    async def batch(self, batch_id: str) -> Json:
        """Give a batch's progress."""
        return await self._line.send(Call("GET", f"/v1/batches/{batch_id}"))

    async def follow_batch(self, batch_id: str) -> AsyncIterator[Json]:
        """Yield the batch's progress now and then, and at last once it is finished."""
        pause_s = _SHORTEST_POLL_S
        while True:
            batch = await self.batch(batch_id)
            yield batch
            if is_finished(batch):
                return
            await self._clock.sleep(pause_s)
            pause_s = min(_LONGEST_POLL_S, pause_s * 1.2)

    async def lanes(self) -> list[Json]:
        """Give every lane: what waits in it, what its limits let through, its deployments."""
        lanes: list[Json] = (await self._line.send(Call("GET", "/v1/lanes")))["data"]
        return lanes

    async def lane(self, name: str) -> Json:
        """Give a lane."""
        return await self._line.send(Call("GET", f"/v1/lanes/{quote(name)}"))

    async def pause_lane(self, name: str) -> Json:
        """Have no job of a lane started any more, with an administrator's key; give the lane as it is then."""
        return await self._line.send(Call("POST", f"/v1/lanes/{quote(name)}/pause", is_repeatable=True))

    async def resume_lane(self, name: str) -> Json:
        """Have the jobs of a lane started again, with an administrator's key; give the lane as it is then."""
        return await self._line.send(Call("POST", f"/v1/lanes/{quote(name)}/resume", is_repeatable=True))

    async def schedule(self) -> Json:
        """Give which scheduler leads, and what runs when, with an administrator's key."""
        return await self._line.send(Call("GET", "/v1/schedule"))

    async def wait_for_job(self, job_id: str) -> Json:
        """Give the job once it is finished. Where too many wait already it is asked for again and again, as the server says."""
        while True:
            try:
                job = await self.get(job_id, _LONG_POLL_S)
            except ApiError as error:
                if error.code != _TOO_MANY_WAITING:
                    raise
                await self._clock.sleep(error.retry_after_s or _LONGEST_POLL_S)
            else:
                if job["status"] in FINAL_STATUSES:
                    return job


class Client:
    """``AsyncClient`` for code without an event loop. Use it with ``with``, in one thread."""

    def __init__(self, url: str, api_key: str) -> None:
        """As ``AsyncClient``."""
        self._runner = asyncio.Runner()
        self._client = AsyncClient(url, api_key)

    def __enter__(self) -> Self:
        self._runner.run(self._client.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._runner.run(self._client.__aexit__(kind, error, traceback))
        self._runner.close()

    def submit(self, job: Json, idempotency_key: str | None = None) -> Json:
        """Submit one job; give it as the server has it."""
        return self._runner.run(self._client.submit(job, idempotency_key))

    def get(self, job_id: str, wait_s: float | None = None) -> Json:
        """Give a job; with ``wait_s`` not before it is finished or that many seconds are over."""
        return self._runner.run(self._client.get(job_id, wait_s))

    def wait_for_job(self, job_id: str) -> Json:
        """Give the job once it is finished."""
        return self._runner.run(self._client.wait_for_job(job_id))

    def cancel(self, job_id: str) -> Json:
        """Cancel a job; give it as it is then."""
        return self._runner.run(self._client.cancel(job_id))

    def jobs(self, query: JobQuery) -> Iterator[Json]:
        """Yield jobs, newest first."""
        return self._each(self._client.jobs(query))

    def create_key(self, wish: Json) -> Json:
        """Make a key; give it with its ``key``, which is shown this once."""
        return self._runner.run(self._client.create_key(wish))

    def keys(self, team: str | None = None) -> Iterator[Json]:
        """Yield the keys, newest first."""
        return self._each(self._client.keys(team))

    def revoke_key(self, key_id: str) -> Json:
        """Let a key open nothing any more; give it as it is then."""
        return self._runner.run(self._client.revoke_key(key_id))

    def batch(self, batch_id: str) -> Json:
        """Give a batch's progress."""
        return self._runner.run(self._client.batch(batch_id))

    def follow_batch(self, batch_id: str) -> Iterator[Json]:
        """Yield the batch's progress now and then, and at last once it is finished."""
        return self._each(self._client.follow_batch(batch_id))

    def lanes(self) -> list[Json]:
        """Give every lane."""
        return self._runner.run(self._client.lanes())

    def lane(self, name: str) -> Json:
        """Give a lane."""
        return self._runner.run(self._client.lane(name))

    def pause_lane(self, name: str) -> Json:
        """Have no job of a lane started any more; give the lane."""
        return self._runner.run(self._client.pause_lane(name))

    def resume_lane(self, name: str) -> Json:
        """Have the jobs of a lane started again; give the lane."""
        return self._runner.run(self._client.resume_lane(name))

    def _each(self, items: AsyncIterator[Json]) -> Iterator[Json]:
        async def following() -> Json | None:
            return await anext(items, None)

        while (item := self._runner.run(following())) is not None:
            yield item


def is_finished(batch: Json) -> bool:
    """Tell whether nothing in a batch will change any more."""
    return batch["status"] in {"completed", "failed", "expired", "cancelled"}


def _idempotency(key: str | None) -> dict[str, str]:
    return {} if key is None else {"idempotency-key": key}
