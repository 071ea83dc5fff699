"""Tells the end of a job to the queue that its submission named.

A reply is sent at least once, always by the same ``message_id``. A queue that is not there is waited for a while, if it
may come back; then the job itself tells that nobody could be told. While a response cannot be read, because the file
store is away, its reply waits, and the others go on.
"""

import json
from dataclasses import replace
from typing import Final

from shared.domain.callbacks import ReplyReport, ReplyStatus
from shared.domain.clock import Clock
from shared.domain.door import Door, is_direct
from shared.domain.errors import FilesUnavailable, MalformedMessage, Unroutable
from shared.domain.events import Emit, MessageBuried, ReplyUndeliverable
from shared.domain.job import Job
from shared.domain.job_store import JobStore
from shared.domain.lanes import Mailbox
from shared.domain.notices import Notice
from shared.domain.work_queue import Delivery, Message, WorkQueue
from shared.wire.replies import reply_about
from workers.couriers.whole_job_reader import WholeJobReader

TRY_AGAIN_AFTER_S: Final = (5.0, 60.0, 300.0)
"""Seconds between one try and the next, while the queue is not there."""

TRIES: Final = "reply-tries"
"""The header that counts the tries that found no queue."""

LOOK_AGAIN_AFTER_S: Final = (5.0, 15.0, 60.0)
"""Seconds between one look for a response and the next, while the file store is away; the last one for ever."""

LOOKS: Final = "reply-looks"
"""The header that counts the looks that found no file store."""

_NO_NOTICE: Final = "The message in the mailbox of replies is no notice."


class ReplyCourier:
    """Carries what is in the mailbox of replies."""

    def __init__(
        self, jobs: WholeJobReader, store: JobStore, queue: WorkQueue, door: Door, clock: Clock, emit: Emit
    ) -> None:
        """``jobs``: what is told. ``store``: keeps what became of it. ``queue``: of the mailbox. ``door``: the way out."""
        self._jobs = jobs
        self._store = store
        self._queue = queue
        self._door = door
        self._clock = clock
        self._emit = emit

    async def handle(self, delivery: Delivery) -> None:
        """Carry one notice to its end, and acknowledge it. Raises ``Unavailable``: give it back."""
        try:
            notice, tries = _read(delivery)
        except MalformedMessage as error:
            await self._queue.bury(delivery.message, error.message, delivery.queue)
            self._emit(MessageBuried(delivery.message.job_id, error.message))
        else:
            try:
                await self._carry(notice, delivery, tries)
            except FilesUnavailable:
                await self._put_away(delivery.message)
        await delivery.ack()

    async def _carry(self, notice: Notice, delivery: Delivery, tries: int) -> None:
        job = await self._jobs.get(notice.team, notice.subject)
        # A job that is not kept any more, or whose end the store has lost, has nothing to tell; the latter ends again.
        if job is not None and job.status.is_final and job.reply is None:
            await self._tell(job, delivery, tries)

    async def _tell(self, job: Job, delivery: Delivery, tries: int) -> None:
        queue, correlation_id = job.spec.callback.reply_to, job.spec.callback.correlation_id
        if queue is None:
            return
        try:
            await self._door.reply(queue, reply_about(job, correlation_id))
        except Unroutable as error:
            if tries < len(TRY_AGAIN_AFTER_S) and not is_direct(queue):
                message = replace(delivery.message, headers={TRIES: str(tries + 1)})
                await self._queue.publish(Mailbox.REPLIES.queue, message, TRY_AGAIN_AFTER_S[tries])
            else:
                self._emit(ReplyUndeliverable(job.spec.id, job.spec.team))
                await self._note(job, ReplyStatus.UNDELIVERABLE, error.message)
        else:
            await self._note(job, ReplyStatus.DELIVERED)

    async def _put_away(self, message: Message) -> None:
        """Let a message come again in a while; that is no try."""
        looks = _count(message, LOOKS)
        delay_s = LOOK_AGAIN_AFTER_S[min(looks, len(LOOK_AGAIN_AFTER_S) - 1)]
        message = replace(message, headers={**message.headers, LOOKS: str(looks + 1)})
        await self._queue.publish(Mailbox.REPLIES.queue, message, delay_s)

    async def _note(self, job: Job, status: ReplyStatus, message: str | None = None) -> None:
        report = ReplyReport(status, self._clock.now(), message)
        await self._store.note_reply(job.spec.team, job.spec.id, report)


def _read(delivery: Delivery) -> tuple[Notice, int]:
    try:
        document = json.loads(delivery.message.body)
    except ValueError:
        raise MalformedMessage("The notice is not valid JSON.") from None
    notice = Notice.read(Mailbox.REPLIES, document)
    if notice is None:
        raise MalformedMessage(_NO_NOTICE)
    _count(delivery.message, LOOKS)
    return notice, _count(delivery.message, TRIES)


def _count(message: Message, header: str) -> int:
    count = message.headers.get(header, "0")
    if not (count.isascii() and count.isdigit()):
        raise MalformedMessage(_NO_NOTICE)
    return int(count)
