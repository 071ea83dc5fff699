"""A large request is read from the file store when its job runs, and not before: what waits holds none."""

from dataclasses import replace
from typing import Final

import orjson

from shared.domain.errors import FilesUnavailable, NotFound
from shared.domain.events import Emit, ServerLost
from shared.domain.files import Files
from shared.domain.provider_errors import RequestLost
from workers.quota_gate import LaneBlocked
from workers.task import Answer, NobodyAnswered, Proceed, Task

RETRY_S: Final = 5.0
"""Seconds after which a job looks again for a file store that was away."""


class RequestAway(LaneBlocked):
    """The file store that has the job's request cannot be reached; other jobs may go on."""


class RequestFile:
    """Puts the request into its envelope."""

    def __init__(self, files: Files | None, emit: Emit) -> None:
        """``files``: None: this worker was given no file store."""
        self._files = files
        self._emit = emit

    async def __call__(self, task: Task, proceed: Proceed) -> Answer:
        """Proceed with the whole request.

        Raises:
            RequestAway: it cannot be read now.
            NobodyAnswered: it is gone; the job has failed.
        """
        reference = task.envelope.spec.request_file
        if reference is None:
            return await proceed(task)
        try:
            body = await self._read(reference.path)
        except NotFound:
            raise NobodyAnswered(RequestLost(), may_come_back=False) from None
        except FilesUnavailable as error:
            self._emit(ServerLost("file store", error.message))
            raise RequestAway(RETRY_S) from error
        return await proceed(replace(task, envelope=replace(task.envelope, request=orjson.loads(body))))

    async def _read(self, path: str) -> bytes:
        if self._files is None:
            raise FilesUnavailable("A request lies in a file store, and `FOREBAY_FILES_URL` is not set here.")
        return await self._files.get(path)
