"""What is said of a job that is not there: that there never was one, or that it is no longer kept."""

from typing import Final

from shared.domain import ids
from shared.domain.clock import Clock
from shared.domain.durations import format_duration
from shared.domain.errors import Expired, ForebayError, NotFound

_LONGEST_QUOTE: Final = 40


class AbsentJobs:
    """Tells the one from the other by the time that every id of ours holds."""

    def __init__(self, clock: Clock, retention_s: float) -> None:
        """``retention_s``: seconds that a finished job is kept."""
        self._clock = clock
        self._retention_s = retention_s

    def require_id(self, job_id: str) -> None:
        """Raise ``NotFound`` for what is no id of a job."""
        if not ids.is_id("job", job_id):
            raise _no_job(job_id)

    def error(self, job_id: str) -> ForebayError:
        """Give the error for a job that is not in the store: ``NotFound``, or ``Expired``."""
        created_at = ids.created_at(job_id)
        if created_at is not None and created_at < self._clock.now() - self._retention_s:
            kept = format_duration(self._retention_s)
            return Expired(f"The job `{job_id}` is no longer kept: finished jobs are for {kept} (`forebay.retention`).")
        return _no_job(job_id)


def _no_job(job_id: str) -> NotFound:
    return NotFound(f"There is no job `{job_id[:_LONGEST_QUOTE]}`; `GET /v1/jobs` lists those that there are.")
