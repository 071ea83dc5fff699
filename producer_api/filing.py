"""Large requests go to the file store before their jobs are recorded; the message then says where they lie."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from producer_api.drafts import Draft
from shared.domain.errors import FilesUnavailable
from shared.domain.files import LargeBodies
from shared.domain.job_files import JobFile

WRITES_AT_ONCE: Final = 16
"""Files that one process writes at a time."""


class Filing:
    """Files the requests that are too large for a message."""

    def __init__(self, large: LargeBodies | None) -> None:
        """``large``: None: nothing is too large."""
        self._large = large
        self._writes = asyncio.Semaphore(WRITES_AT_ONCE)

    async def file(self, drafts: Sequence[Draft]) -> list[Draft | FilesUnavailable]:
        """Give each draft as it is to be recorded, or why its request could not be kept.

        A file whose job is then not recorded is removed by the scheduler: nobody knows whether a record was made
        whose confirmation did not come.
        """
        large = self._large
        if large is None:
            return list(drafts)
        return await asyncio.gather(*(self._file(draft, large) for draft in drafts))

    async def _file(self, draft: Draft, large: LargeBodies) -> Draft | FilesUnavailable:
        if draft.outcome is not None or len(draft.request_json) <= large.inline_limit:
            return draft
        try:
            async with self._writes:
                reference = await large.files.put(JobFile.request_of(draft.spec).path, draft.request_json)
        except FilesUnavailable as error:
            return error
        return replace(draft, spec=replace(draft.spec, request_file=reference))
