"""Where a job's large bodies lie: by day, team and job. Paths hold ids and team names alone, never what was asked.

::

    requests/2026-11-25/search/job_01k9….json
    results/2026-11-25/search/job_01k9….7.json      7: the fence of the run that made it
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final
from urllib.parse import quote, unquote

from shared.domain.job import JobSpec

REQUESTS: Final = "requests"
RESULTS: Final = "results"

_SEGMENT: Final = 200
"""Characters of one folder's name; file systems allow 255 bytes."""

_PATH: Final = re.compile(
    rf"(?P<folder>{REQUESTS}|{RESULTS})/(?P<day>\d{{4}}-\d\d-\d\d)/(?P<team>[^.]+)/(?P<id>[a-z0-9_]+)(\.(?P<fence>\d+))?\.json"
)


@dataclass(frozen=True, slots=True)
class JobFile:
    """A file of a job. ``day``: see ``day_of``. ``fence``: of the run whose result it is; None: it is the request."""

    day: date
    team: str
    job_id: str
    fence: int | None = None

    @classmethod
    def request_of(cls, spec: JobSpec) -> "JobFile":
        """Give the file of a job's request."""
        return cls(day_of(spec), spec.team, spec.id)

    @classmethod
    def result_of(cls, spec: JobSpec, fence: int) -> "JobFile":
        """Give the file of a run's result: each run has its own, so that a late one overwrites nobody's."""
        return cls(day_of(spec), spec.team, spec.id, fence)

    @classmethod
    def read(cls, path: str) -> "JobFile | None":
        """Read a path; None: it is none of ours."""
        found = _PATH.fullmatch(path)
        if found is None or (found["folder"] == RESULTS) is (found["fence"] is None):
            return None
        team = unquote(found["team"].replace("/", ""))
        fence = None if found["fence"] is None else int(found["fence"])
        return cls(date.fromisoformat(found["day"]), team, found["id"], fence)

    @property
    def path(self) -> str:
        """Where it lies in the file store."""
        folder, run = (REQUESTS, "") if self.fence is None else (RESULTS, f".{self.fence}")
        return f"{folder}/{self.day.isoformat()}/{_folders(self.team)}/{self.job_id}{run}.json"


def day_of(spec: JobSpec) -> date:
    """Give the last day (UTC) on which the job is expected to begin to wait; after it the longest window counts.

    It follows from what never changes of a job, so every process derives the same paths.
    """
    return datetime.fromtimestamp(max(spec.created_at, spec.run_at or 0.0, spec.deadline or 0.0), UTC).date()


def _folders(team: str) -> str:
    """Give a team's folder: no name leaves it, or is another's; a long one goes over several levels."""
    escaped = quote(team, safe="").replace(".", "%2E") or "%"
    return "/".join(escaped[start : start + _SEGMENT] for start in range(0, len(escaped), _SEGMENT))
