"""Forebay's own API from Python: ``AsyncClient``, and ``Client`` for code without an event loop.

A call is repeated only where repeating is safe: when nothing was sent, when it only reads or
cancels, or when an idempotency key makes a second submission the first one again.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import orjson

from forebay.unreachable import why_unreachable
from shared.domain.clock import Clock, SystemClock
from shared.domain.errors import ForebayError, Unavailable
from shared.domain.job import FINAL_STATUSES

Json = dict[str, Any]

MAX_TRIES: Final = 6
"""Tries of one call; with the pauses between them, about 15 seconds."""

_FIRST_PAUSE_S: Final = 0.5
_CONNECT_TIMEOUT_S: Final = 5.0
_ANSWER_TIMEOUT_S: Final = 60.0
_LONG_POLL_S: Final = 30.0
_SHORTEST_POLL_S: Final = 0.2
_LONGEST_POLL_S: Final = 2.0
_PAGE: Final = 100
_UNAVAILABLE: Final = 503
_NOT_FOUND: Final = 404
_CODES_OF_NOT_FOUND: Final = frozenset({"not_found", "model_not_found", "unknown_path"})
_FIRST_ERROR_STATUS: Final = 400


class ApiError(ForebayError):
    """The API refused a call."""

    def __init__(self, status: int, error: Mapping[str, Any], retry_after_s: float | None = None) -> None:
        """``status`` is the HTTP status, ``error`` the ``error`` object of the answer's body."""
        super().__init__(str(error.get("message") or f"the server answered with HTTP status {status}"))
        self.status = status
        self.code: str | None = error.get("code")
        self.type: str | None = error.get("type")
        self.param: str | None = error.get("param")
        self.retry_after_s = retry_after_s


class Unreachable(Unavailable):
    """No server answers at that address."""


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


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    path: str
    parameters: Mapping[str, str] | None = None
    body: bytes | AsyncIterable[bytes] | None = None
    headers: Mapping[str, str] | None = None

    @property
    def may_be_sent_twice(self) -> bool:
        if self.method == "GET" or self.path.endswith("/cancel"):
            return True
        return isinstance(self.body, bytes) and "idempotency-key" in (self.headers or {})


class AsyncClient:
    """A connection to one server, for one API key. Use it with ``async with``.

    Every method raises ``ApiError`` when the server refuses, ``Unreachable`` when there is none.
    """

    def __init__(self, url: str, api_key: str, clock: Clock | None = None) -> None:
        """``url`` is the server's root, such as ``http://127.0.0.1:8080``."""
        self._root = url.rstrip("/")
        self._api_key = api_key
        self._clock = clock or SystemClock()
        self._session: aiohttp.ClientSession | None = None
        self._was_reached = False

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers={"authorization": f"Bearer {self._api_key}"},
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=_CONNECT_TIMEOUT_S, sock_read=_ANSWER_TIMEOUT_S + _LONG_POLL_S
            ),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def was_reached(self) -> bool:
        """Whether the server ever answered, so that waiting for it may be worth while."""
        return self._was_reached

    async def submit(self, job: Json, idempotency_key: str | None = None) -> Json:
        """Submit one job; give it as the server has it. Repeated after a failure only with an idempotency key."""
        headers = {"content-type": "application/json"} | _idempotency(idempotency_key)
        return await self._send(_Call("POST", "/v1/jobs", body=orjson.dumps(job), headers=headers))

    async def submit_bulk(self, lines: AsyncIterable[bytes], idempotency_key: str | None = None) -> Json:
        """Stream jobs, a JSON object a line (newline included), as one batch; give its id and what was rejected.

        Never repeated here, because ``lines`` can be read only once. With the same idempotency key and
        the same lines, a further call continues where a broken one ended.
        """
        headers = {"content-type": "application/x-ndjson"} | _idempotency(idempotency_key)
        return await self._send(_Call("POST", "/v1/jobs/bulk", body=lines, headers=headers))

    async def get(self, job_id: str, wait_s: float | None = None) -> Json:
        """Give a job; with ``wait_s`` not before it is finished or that many seconds are over."""
        parameters = None if wait_s is None else {"wait": f"{wait_s:g}"}
        return await self._send(_Call("GET", f"/v1/jobs/{job_id}", parameters))

    async def cancel(self, job_id: str) -> Json:
        """Cancel a job; give it as it is then."""
        return await self._send(_Call("POST", f"/v1/jobs/{job_id}/cancel"))

    async def jobs(self, query: JobQuery, page: int = _PAGE) -> AsyncIterator[Json]:
        """Yield jobs, newest first, fetching ``page`` of them at a time."""
        parameters = query.parameters() | {"limit": str(page)}
        while True:
            listing = await self._send(_Call("GET", "/v1/jobs", parameters))
            for job in listing["data"]:
                yield job
            after = listing.get("next_after")
            if after is None:
                return
            parameters["after"] = after

    async def batch(self, batch_id: str) -> Json:
        """Give a batch's progress."""
        return await self._send(_Call("GET", f"/v1/batches/{batch_id}"))

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

    async def wait_for_job(self, job_id: str) -> Json:
        """Give the job once it is finished."""
        while True:
            job = await self.get(job_id, _LONG_POLL_S)
            if job["status"] in FINAL_STATUSES:
                return job

    async def _send(self, call: _Call) -> Json:
        pause_s = _FIRST_PAUSE_S
        for _ in range(MAX_TRIES - 1):
            try:
                return await self._send_once(call)
            except Unreachable as error:
                if not self._was_reached:
                    raise
                nothing_was_sent = isinstance(error.__cause__, aiohttp.ClientConnectorError)
                if not (call.may_be_sent_twice or (nothing_was_sent and isinstance(call.body, bytes))):
                    raise
            except ApiError as error:
                if error.status != _UNAVAILABLE or not call.may_be_sent_twice:
                    raise
                pause_s = max(pause_s, error.retry_after_s or 0.0)
            await self._clock.sleep(pause_s)
            pause_s *= 2
        return await self._send_once(call)

    async def _send_once(self, call: _Call) -> Json:
        if self._session is None:
            raise RuntimeError("use the client with `async with`")
        streams = call.body is not None and not isinstance(call.body, bytes)
        try:
            async with self._session.request(
                call.method,
                self._root + call.path,
                params=call.parameters,
                data=call.body,
                headers=call.headers,
                expect100=streams,  # a refusal, such as of a wrong key, comes before the upload
            ) as answer:
                self._was_reached = True
                return _read(answer, await answer.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"Cannot reach Forebay at {self._root}: {why_unreachable(error)}") from error


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

    def batch(self, batch_id: str) -> Json:
        """Give a batch's progress."""
        return self._runner.run(self._client.batch(batch_id))

    def follow_batch(self, batch_id: str) -> Iterator[Json]:
        """Yield the batch's progress now and then, and at last once it is finished."""
        return self._each(self._client.follow_batch(batch_id))

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


def _read(answer: aiohttp.ClientResponse, body: bytes) -> Json:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if answer.status >= _FIRST_ERROR_STATUS:
        error = document.get("error") if isinstance(document, dict) else None
        if answer.status == _NOT_FOUND and not (isinstance(error, dict) and error.get("code") in _CODES_OF_NOT_FOUND):
            raise ApiError(answer.status, _another_server(answer))
        raise ApiError(answer.status, error if isinstance(error, dict) else {}, _retry_after(answer))
    if not isinstance(document, dict):
        raise ApiError(answer.status, _another_server(answer))
    return document


def _another_server(answer: aiohttp.ClientResponse) -> Json:
    return {"message": f"{answer.url.origin()} did not answer as Forebay does. Is FOREBAY_URL right?"}


def _retry_after(answer: aiohttp.ClientResponse) -> float | None:
    value = answer.headers.get("retry-after", "")
    return float(value) if value.replace(".", "", 1).isdigit() else None
