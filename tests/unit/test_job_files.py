from dataclasses import replace
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.job import JobSpec
from shared.domain.job_files import JobFile, day_of
from shared.domain.lanes import Priority

NOON = 1_700_049_600.0  # 2023-11-15T12:00:00Z
SPEC = JobSpec("job_01abc", "search", "/v1/chat/completions", "m", "m", Priority.BULK, NOON)
TEAMS = st.text(min_size=1, max_size=128)


def test_files_lie_by_day_team_and_job() -> None:
    assert JobFile.request_of(SPEC).path == "requests/2023-11-15/search/job_01abc.json"
    assert JobFile.result_of(SPEC, 7).path == "results/2023-11-15/search/job_01abc.7.json"


def test_a_job_for_later_lies_under_the_last_day_on_which_it_may_begin_to_wait() -> None:
    assert day_of(replace(SPEC, run_at=NOON + 86_400, deadline=NOON + 2 * 86_400)).isoformat() == "2023-11-17"


@given(TEAMS)
def test_every_team_has_a_folder_of_its_own_and_no_name_leaves_it(team: str) -> None:
    file = JobFile.request_of(replace(SPEC, team=team))
    parts = PurePosixPath(file.path).parts
    assert parts[:2] == ("requests", "2023-11-15")
    assert parts[-1] == "job_01abc.json"
    assert file.path == str(PurePosixPath(file.path))
    assert all("." not in part and len(part) <= 200 for part in parts[1:-1])
    assert JobFile.read(file.path) == file


@given(TEAMS, TEAMS)
def test_no_two_teams_share_a_path(one: str, another: str) -> None:
    paths = {JobFile.result_of(replace(SPEC, team=team), 1).path for team in (one, another)}
    assert len(paths) == len({one, another})


@pytest.mark.parametrize(
    "path",
    [
        "forebay-files",
        "requests/2023-11-15/job_1.json",
        "requests/2023-11-15/search/job_1.7.json",
        "results/2023-11-15/search/job_1.json",
        "results/2023-11-15/../job_1.7.json",
        "other/2023-11-15/search/job_1.json",
    ],
)
def test_what_is_no_file_of_a_job_is_left_alone(path: str) -> None:
    assert JobFile.read(path) is None
