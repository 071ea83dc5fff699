"""Submissions that come as messages: the same admission as over HTTP, the same errors, told by a reply.

take → may it be answered where it asks? → who submits? → admission → reply or dead letters, if it was rejected → acknowledge.

A message is acknowledged after its job is durably queued, or after its sender or the dead letters have the reason why
there is none. So a crash anywhere lets it come again, and its ``message_id`` then finds the job that it has made.
"""

import asyncio
from contextlib import suppress
from typing import Final

from producer_api.admission import Admission, checked_key, checked_traceparent
from producer_api.authentication import Authentication
from producer_api.body import too_large
from producer_api.drafts import Arrival
from producer_api.error_responses import error_object
from producer_api.parts import ApiParts
from shared.domain.door import Door, Parcel, check_reply_to
from shared.domain.enduring_task import EnduringTask
from shared.domain.errors import ForebayError, InvalidInput, TooManyRequests, Unavailable, Unroutable
from shared.domain.events import ArrivalCrashed, SubmissionBuried
from shared.domain.hands import Hands
from shared.domain.ids import new_id
from shared.domain.job import Job
from shared.domain.tenants import Scope
from shared.domain.work_queue import REJECTION, Message
from shared.wire.replies import reply_about, reply_with_error

MOST_AT_ONCE: Final = 64
"""Submissions that a process has under way at a time."""

AFTER_TROUBLE_S: Final = 2.0
"""Seconds that a submission is kept back after a server was away: the broker counts how often it is given back."""

DRAIN_S: Final = 5.0
"""Seconds that submissions under way are given when the process stops."""

_LONGEST_REJECTION: Final = 1_000

_MALFORMED: Final = "malformed_message"
_POISON: Final = frozenset({"invalid_json", _MALFORMED, "internal_error"})
"""Codes of errors that no reply makes good: somebody has to look at the message."""


class AmqpSubmissions:
    """What this process takes in by messages."""

    def __init__(self, door: Door, admission: Admission, parts: ApiParts) -> None:
        """``admission`` is the one that takes in over HTTP as well."""
        self._door = door
        self._admission = admission
        self._authentication = Authentication(parts.keyring)
        self._parts = parts
        self._hands = Hands(MOST_AT_ONCE)
        self._intake = EnduringTask("amqp-submissions", self._take_in, parts.clock, parts.emit)

    def start(self) -> None:
        """Begin to take in; over every loss, until ``stop``."""
        self._intake.start()

    async def stop(self) -> None:
        """Take nothing more, let what is under way end, and give the rest back."""
        await self._intake.stop()
        await self._door.close()
        await self._hands.drain(DRAIN_S)

    async def _take_in(self) -> None:
        await self._open()
        await self._hands.carry_each(self._door.take, self._carry)

    async def _open(self) -> None:
        while True:
            try:
                return await self._door.open()
            except Unavailable:
                await self._parts.clock.sleep(AFTER_TROUBLE_S)

    async def _carry(self, parcel: Parcel) -> None:
        try:
            await self._settle(parcel)
            await parcel.ack()
        except asyncio.CancelledError:
            await asyncio.shield(parcel.give_back())
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is: the message is kept, and the others go on
            if not isinstance(error, Unavailable):
                self._parts.emit(ArrivalCrashed("", type(error).__name__))
            await self._give_back_later(parcel)

    async def _give_back_later(self, parcel: Parcel) -> None:
        is_settled = False
        try:
            await self._parts.clock.sleep(AFTER_TROUBLE_S)
            if self._needs_a_file(parcel):
                with suppress(Unavailable, Unroutable):
                    await self._door.put_last(parcel)
                    is_settled = True
        finally:
            if not is_settled:
                await parcel.give_back()

    def _needs_a_file(self, parcel: Parcel) -> bool:
        """Whether it may have failed for want of the file store. Given back, such ones would fill all hands again."""
        large = self._parts.large
        return large is not None and len(parcel.body) > large.inline_limit

    async def _settle(self, parcel: Parcel) -> None:
        """Take one in, or see to it that somebody is told why not. Raises ``Unavailable``: nobody can say yet."""
        try:
            if parcel.reply_to is not None:
                check_reply_to(parcel.reply_to)
        except InvalidInput as error:
            await self._bury(parcel, error)
            return
        job_id = new_id("job", self._parts.clock.now())
        try:
            job = await self._admit(parcel, job_id)
        except Unavailable:
            raise
        except ForebayError as error:
            await self._reject(parcel, error)
        except Exception as error:  # noqa: BLE001 - it would happen again and again; the dead letters keep the message
            self._parts.emit(ArrivalCrashed("", type(error).__name__))
            await self._reject(parcel, ForebayError("Our own code failed on it."))
        else:
            if job.status.is_final and job.spec.id != job_id:
                await self._tell_again(parcel, job)

    async def _admit(self, parcel: Parcel, job_id: str) -> Job:
        if parcel.fault is not None:
            raise InvalidInput(parcel.fault, code=_MALFORMED)
        principal = await self._authentication.principal_of(parcel.headers, Scope.SUBMIT)
        key = checked_key(parcel.message_id, "message_id")
        if len(parcel.body) > self._parts.body_limit:
            raise too_large("The body", self._parts.body_limit)
        return await self._admission.admit_one(
            Arrival(
                principal,
                parcel.body,
                key,
                traceparent=checked_traceparent(parcel.headers),
                reply_to=parcel.reply_to,
                correlation_id=parcel.correlation_id,
                job_id=job_id,
            )
        )

    async def _tell_again(self, parcel: Parcel, job: Job) -> None:
        """Answer who repeats a submission whose job is finished: its end was told to the queue of the first one."""
        if parcel.reply_to is not None:
            with suppress(Unroutable):
                await self._door.reply(parcel.reply_to, reply_about(job, parcel.correlation_id))

    async def _reject(self, parcel: Parcel, error: ForebayError) -> None:
        was_told = await self._tell(parcel, error)
        if not was_told or _code(error) in _POISON:
            await self._bury(parcel, error)

    async def _tell(self, parcel: Parcel, error: ForebayError) -> bool:
        if parcel.reply_to is None:
            return False
        retry_after_s = error.retry_after_s if isinstance(error, TooManyRequests) else None
        reply_id = new_id("rejected", self._parts.clock.now())
        reply = reply_with_error(error_object(error), reply_id, parcel.correlation_id, retry_after_s)
        try:
            await self._door.reply(parcel.reply_to, reply)
        except Unroutable:
            return False
        return True

    async def _bury(self, parcel: Parcel, error: ForebayError) -> None:
        """Put it into the dead letters, with what its sender called it, and without its key."""
        names = {
            "message_id": parcel.message_id,
            "correlation_id": parcel.correlation_id,
            "reply_to": parcel.reply_to,
            REJECTION: error.message[:_LONGEST_REJECTION],
        }
        headers = {name: value for name, value in names.items() if value is not None}
        await self._parts.queue.bury(Message(parcel.body, "", headers), _code(error))
        self._parts.emit(SubmissionBuried(_code(error)))


def _code(error: ForebayError) -> str:
    code: str = error_object(error)["code"]
    return code
