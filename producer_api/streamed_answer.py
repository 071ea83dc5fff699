"""A chat answer in server-sent events, passed on while the provider makes it.

Until there is a first piece nothing is sent, so that what goes wrong is an error with its status. If no piece comes at
all (the answer was known, another call's job is awaited, the provider does not stream, a piece was lost), the job's
stored answer is sent in chunks.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

import orjson
from fastapi import Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from producer_api.error_responses import error_object
from producer_api.event_stream import EventStream
from producer_api.job_failures import broken_off, failure_of, goes_on, unreadable
from producer_api.open_streams import OpenStreams
from producer_api.presence import Overtaken, unless, while_present
from producer_api.waiting import Waiting, WaitingCall
from shared.domain.answer_streams import AnswerReader, AnswerStreams
from shared.domain.errors import ForebayError
from shared.domain.job import Job, JobStatus
from shared.domain.provider_errors import StreamBroken, UnexpectedAnswer
from shared.wire.chunks import DONE, chunks

Admit = Callable[[], Coroutine[Any, Any, Job]]
"""Lets a call's job in; raises ``ForebayError``."""

AFTERWARDS_S: Final = 1.0
"""Seconds after a stream broke off in which its job's end may tell why."""


class StreamedAnswer(Response):
    """The answer to one call."""

    def __init__(
        self, call: WaitingCall, waiting: Waiting, admit: Admit, streams: AnswerStreams, open_streams: OpenStreams
    ) -> None:
        """Nothing is let in before the response is asked for; ``admit`` lets in a job that streams, once."""
        super().__init__()
        self._call = call
        self._admit: Admit | None = admit
        self._waiting = waiting
        self._streams = streams
        self._open_streams = open_streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; raises ``ForebayError`` only before anything was sent."""
        async with self._streams.reader(self._call.job_id) as reader:
            admit, self._admit = self._admit, None  # it holds the whole request, which nobody needs while it waits
            assert admit is not None
            admission = asyncio.ensure_future(admit())
            del admit
            try:
                response = await while_present(receive, self._tell(reader, admission, EventStream(send)))
            except ClientDisconnect:
                await self._give_up(admission)
                return
            except asyncio.CancelledError:  # the server has no more time for a client that does not read
                await asyncio.shield(asyncio.create_task(self._give_up(admission)))
                raise
        if response is not None:
            await response(scope, receive, send)

    async def _give_up(self, admission: asyncio.Task[Job]) -> None:
        with suppress(ForebayError):  # it was not let in at all
            await self._waiting.give_up(self._call, await admission)

    async def _tell(self, reader: AnswerReader, admission: asyncio.Task[Job], events: EventStream) -> Response | None:
        """Send the answer; give the response that is to be sent instead, if there is no answer."""
        pieces = aiter(reader)
        first = await self._first(pieces, admission)
        if isinstance(first, Job):
            return await self._tell_whole(first, events)
        await events.begin(self._waiting.first_headers(self._call))
        error = await self._pass_on(first, pieces, admission, events)
        await events.event(DONE if error is None else orjson.dumps({"error": error}))
        await events.end()
        return None

    async def _first(self, pieces: AsyncIterator[bytes], admission: asyncio.Task[Job]) -> bytes | Job:
        """Give the first piece; or the job, if that ends before one comes, or does not while its client waits."""
        beginning = asyncio.create_task(_next_if_any(pieces))
        ending = asyncio.create_task(self._ended(admission, self._call.timeout_s))
        try:
            await asyncio.wait((beginning, ending), return_when=asyncio.FIRST_COMPLETED)
            piece = beginning.result() if beginning.done() else None
            return await ending if piece is None else piece
        finally:
            for task in (beginning, ending):
                task.cancel()
            await asyncio.gather(beginning, ending, return_exceptions=True)

    async def _ended(self, admission: asyncio.Task[Job], timeout_s: float) -> Job:
        # Shielded: when the client leaves in the middle of it, the job must be known, to be cancelled.
        return await self._waiting.final(await asyncio.shield(admission), timeout_s)

    async def _tell_whole(self, job: Job, events: EventStream) -> Response | None:
        headers = self._waiting.headers(self._call, job)
        if job.status is not JobStatus.SUCCEEDED or job.outcome is None or job.outcome.response is None:
            return failure_of(job, self._waiting.waited_s(self._call)).response(headers)
        try:  # all of them before the first is sent, so that what goes wrong is an error with its status
            told = [orjson.dumps(made) for made in chunks(job.outcome.response, include_usage=self._call.include_usage)]
        except UnexpectedAnswer as error:
            return unreadable(error).response(headers)
        await events.begin(headers)
        for chunk in told:
            await events.event(chunk)
        await events.event(DONE)
        await events.end()
        return None

    async def _pass_on(
        self, first: bytes, pieces: AsyncIterator[bytes], admission: asyncio.Task[Job], events: EventStream
    ) -> dict[str, Any] | None:
        """Pass all pieces on; give the error that ended them, if there was one."""
        bell = asyncio.Event()
        try:
            with self._open_streams.opened(bell):
                await unless(bell.wait(), self._pass_pieces_on(first, pieces, events))
            job = await self._ended(admission, self._call.timeout_s)
            return None if job.status is JobStatus.SUCCEEDED else failure_of(job, self._call.timeout_s).error
        except TimeoutError:
            return goes_on(self._call.job_id, self._call.timeout_s).error
        except Overtaken:
            return goes_on(self._call.job_id, self._waiting.waited_s(self._call)).error
        except StreamBroken as broken:
            return await self._why_broken(admission, broken)
        except ForebayError as error:
            return error_object(error)

    async def _pass_pieces_on(self, first: bytes, pieces: AsyncIterator[bytes], events: EventStream) -> None:
        piece: bytes | None = first
        while piece is not None:
            await events.event(piece)
            async with asyncio.timeout(self._call.timeout_s):
                piece = await anext(pieces, None)

    async def _why_broken(self, admission: asyncio.Task[Job], broken: StreamBroken) -> dict[str, Any]:
        """Give the error of a stream that broke off. A job that goes on is given up, as if its client had left."""
        try:
            job = await self._ended(admission, AFTERWARDS_S)
            was_given_up = await self._waiting.give_up(self._call, job)
        except ForebayError as error:
            return error_object(error)
        if job.status.is_final and job.status is not JobStatus.SUCCEEDED:
            return failure_of(job, AFTERWARDS_S).error
        return broken_off(job, broken, was_given_up=was_given_up).error


async def _next_if_any(pieces: AsyncIterator[bytes]) -> bytes | None:
    """Give the next piece; None: there is none to come, or it was lost."""
    try:
        return await anext(pieces, None)
    except StreamBroken:
        return None
