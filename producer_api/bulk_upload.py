"""Many jobs in one request body, a job a line, in constant memory whatever their number.

Lines are admitted in groups. Several groups are under way at once, so that the wait for one group's confirms is spent
on the next; together they bound the publishes that are not confirmed yet, and the lines that are held.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, suppress
from tempfile import SpooledTemporaryFile
from typing import Final

import orjson

from producer_api.admission import Admission, Admitted
from producer_api.body import Line, split_lines, too_large
from producer_api.drafts import Arrival
from producer_api.error_responses import error_object
from producer_api.open_batch import OpenBatch
from producer_api.parts import ApiParts
from shared.domain import ids
from shared.domain.batches import Batch
from shared.domain.errors import ForebayError, IdempotencyConflict, InvalidInput, StoreUnavailable, Unavailable
from shared.domain.notices import Announcer
from shared.domain.tenants import Principal

GROUP_LINES: Final = 128
GROUP_BYTES: Final = 256 * 1024
"""A group is handed over when it has that many lines or bytes."""

GROUPS_UNDER_WAY: Final = 4
MOST_UNCONFIRMED: Final = GROUP_LINES * GROUPS_UNDER_WAY
"""Publishes of one upload that can be waiting for their confirm."""

_SPOOL_BYTES: Final = 256 * 1024
_CHUNK_BYTES: Final = 64 * 1024


class BulkUpload:
    """One upload into one batch. With an idempotency key, a repeat of it goes on where the first was cut."""

    def __init__(
        self,
        parts: ApiParts,
        admission: Admission,
        principal: Principal,
        idempotency_key: str | None,
        webhook: str | None = None,
    ) -> None:
        """``principal``: who sends it. ``idempotency_key`` is the client's; the batch's id and every line's own key follow from it.

        ``webhook``: a URL that was checked, which gets an event when the batch is finished.
        """
        self._parts = parts
        self._admission = admission
        self._principal = principal
        self._team = principal.team
        self._idempotency_key = idempotency_key
        self._webhook = webhook
        self.batch_id = _batch_id(principal.team, idempotency_key, parts.clock.now())
        self.rejections = Rejections()
        self.accepted = 0
        self._open_batch: OpenBatch | None = None
        self._under_way: deque[asyncio.Task[list[tuple[int, Admitted]]]] = deque()
        self._broken: Unavailable | None = None

    async def take(self, chunks: AsyncIterator[bytes]) -> None:
        """Admit every line of the body; what was accepted stays accepted, however this ends.

        Raises:
            InvalidInput: there is no line.
            IdempotencyConflict: the key stands for an upload whose end is told to another place; nothing was done.
            Unavailable: the broker or the store went away; the message says how far this came, and how to go on.
            ClientDisconnect: the client went away before the end.
        """
        try:
            await self._read(chunks)
        finally:
            try:
                await self._count_the_rest()
            finally:
                await self._close()
        if self._broken is not None:
            raise self._interrupted(self._broken)
        if self.accepted == self.rejections.count == 0:
            raise InvalidInput("The body has no lines; one JSON object a line is expected.", code="empty_body")

    async def _read(self, chunks: AsyncIterator[bytes]) -> None:
        group: list[Line] = []
        size = 0
        async with aclosing(split_lines(chunks, self._parts.body_limit)) as lines:
            async for line in lines:
                if line.body is not None and not line.body.strip():
                    continue
                group.append(line)
                size += len(line.body or b"")
                if len(group) == GROUP_LINES or size >= GROUP_BYTES:
                    await self._hand_over(group)
                    group, size = [], 0
                if self._broken is not None:
                    return
        if group:
            await self._hand_over(group)

    async def _hand_over(self, group: list[Line]) -> None:
        if self._open_batch is None:
            await self._open()
        if len(self._under_way) == GROUPS_UNDER_WAY:
            self._count(await self._under_way.popleft())
        if self._broken is None:
            self._under_way.append(asyncio.create_task(self._admit(group)))

    async def _open(self) -> None:
        now = self._parts.clock.now()
        batch = OpenBatch(Batch(self.batch_id, self._team, None, now, is_open=True, webhook=self._webhook), self._parts)
        opened = await batch.open()
        if opened.webhook != self._webhook:
            raise IdempotencyConflict("The idempotency key was used before, for an upload with another `webhook`.")
        self._open_batch = batch

    async def _admit(self, group: list[Line]) -> list[tuple[int, Admitted]]:
        arrivals = [self._arrival(line.number, line.body) for line in group if line.body is not None]
        admitted = iter(await self._admission.admit_all(self._team, arrivals))
        overlong = too_large("The line", self._parts.body_limit)
        return [(line.number, overlong if line.body is None else next(admitted)) for line in group]

    def _arrival(self, number: int, body: bytes) -> Arrival:
        key = None if self._idempotency_key is None else f"{self.batch_id}:{number}"
        return Arrival(self._principal, body, key, self.batch_id)

    def _count(self, group: list[tuple[int, Admitted]]) -> None:
        for number, admitted in group:
            if isinstance(admitted, Unavailable):
                self._broken = self._broken or admitted
            elif isinstance(admitted, ForebayError):
                self.rejections.add(number, admitted)
            else:
                self.accepted += 1

    async def _count_the_rest(self) -> None:
        ended = await asyncio.gather(*self._under_way, return_exceptions=True)
        self._under_way.clear()
        failures = [group for group in ended if isinstance(group, BaseException)]
        for group in ended:
            if not isinstance(group, BaseException):
                self._count(group)
        if failures:
            raise failures[0]

    async def _close(self) -> None:
        if self._open_batch is not None:
            try:
                await self._open_batch.close()
            except StoreUnavailable as error:
                self._broken = self._broken or error
            else:
                await self._tell()

    async def _tell(self) -> None:
        """Tell the batch's end, should it have come already; what cannot be published now, the scheduler will."""
        with suppress(Unavailable):
            announcer = Announcer(self._parts.queue, self._parts.outbox)
            await announcer.tell_what_is_left(self._team, [self.batch_id])

    def _interrupted(self, cause: Unavailable) -> Unavailable:
        go_on = (
            "Send the same upload again with the same Idempotency-Key: it goes on without doing anything twice."
            if self._idempotency_key is not None
            else "Sent again, they would be new jobs; an upload with an Idempotency-Key can be repeated."
        )
        return Unavailable(
            f"The upload was interrupted: {self.accepted} lines were accepted into the batch {self.batch_id} and "
            f"{self.rejections.count} rejected; the others were not taken. {go_on} The cause: {cause.message}"
        )


class Rejections:
    """The lines that made no job, as JSON, in memory while they are few and in a temporary file when not."""

    def __init__(self) -> None:
        """Begin with none."""
        self.count = 0
        self._spool: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(_SPOOL_BYTES)  # noqa: SIM115 - see ``close``

    def add(self, line: int, error: ForebayError) -> None:
        """Note why a line was rejected."""
        comma = b"," if self.count else b""
        self._spool.write(comma + orjson.dumps({"line": line, "error": error_object(error)}))
        self.count += 1

    def chunks(self) -> Iterator[bytes]:
        """Give the items of a JSON list, in pieces."""
        self._spool.seek(0)
        while chunk := self._spool.read(_CHUNK_BYTES):
            yield chunk

    def close(self) -> None:
        """Let go of the file."""
        with suppress(OSError):
            self._spool.close()


def _batch_id(team: str, idempotency_key: str | None, now: float) -> str:
    if idempotency_key is None:
        return ids.new_id("batch", now)
    digest = hashlib.sha256(f"{team}\n{idempotency_key}".encode()).digest()
    return ids.new_id("batch", 0.0, lambda bits: int.from_bytes(digest[: bits // 8], "big"))
