"""The output file in the OpenAI Batch format."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from forebay.cli.answers import AnswerFile, write_answers
from forebay.cli.batch_lines import BadLine

ANSWER = {"choices": [{"message": {"content": "Rhine"}}]}


def job(line: int, **changes: object) -> dict[str, Any]:
    return {
        "id": f"job_{line}",
        "status": "succeeded",
        "metadata": {"custom_id": f"r-{line}", "line": str(line)},
        "response": ANSWER,
        "error": None,
    } | changes


async def each(*jobs: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    for one in jobs:
        yield one


def read(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_the_answers_stand_in_the_order_of_the_input(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out.jsonl"
    bad = BadLine(2, "r-2", "invalid_json_line", "not JSON")
    assert await write_answers(each(job(10), job(3), job(1)), out, [bad]) == 4
    assert [line["custom_id"] for line in read(out)] == ["r-1", "r-2", "r-3", "r-10"]


async def test_an_answer_is_kept_as_the_provider_gave_it(tmp_path: Path) -> None:
    await write_answers(each(job(1)), tmp_path / "out", [])
    assert read(tmp_path / "out") == [
        {
            "id": "job_1",
            "custom_id": "r-1",
            "response": {"status_code": 200, "request_id": "job_1", "body": ANSWER},
            "error": None,
        }
    ]


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        ("failed", {"code": "timed_out", "message": "too slow"}, "timed_out"),
        ("failed", None, "failed"),
        ("cancelled", None, "batch_cancelled"),
        ("expired", {"code": "deadline", "message": "too late"}, "batch_expired"),
    ],
)
async def test_a_request_without_an_answer_has_an_error_line(
    tmp_path: Path, status: str, error: dict[str, str] | None, code: str
) -> None:
    await write_answers(each(job(1, status=status, error=error, response=None)), tmp_path / "out", [])
    (line,) = read(tmp_path / "out")
    assert line["response"] is None
    assert line["error"]["code"] == code
    assert line["error"]["message"]


async def test_a_rejected_line_has_an_error_line(tmp_path: Path) -> None:
    await write_answers(each(), tmp_path / "out", [BadLine(1, None, "invalid_json_line", "not JSON")])
    assert read(tmp_path / "out") == [
        {"id": None, "custom_id": None, "response": None, "error": {"code": "invalid_json_line", "message": "not JSON"}}
    ]


async def test_jobs_that_came_without_a_line_number_come_last(tmp_path: Path) -> None:
    await write_answers(each(job(9, metadata={}), job(2)), tmp_path / "out", [])
    assert [line["id"] for line in read(tmp_path / "out")] == ["job_2", "job_9"]


async def test_an_interrupted_writing_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("old")

    async def cut() -> AsyncIterator[dict[str, Any]]:
        yield job(1)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await write_answers(cut(), out, [])
    assert out.read_text() == "old"
    assert names(tmp_path) == ["out.jsonl"]


def test_the_file_may_be_read_by_whoever_may_read_new_files(tmp_path: Path) -> None:
    usual = tmp_path / "usual"
    usual.touch()
    with AnswerFile(tmp_path / "out") as file:
        file.save()
    assert (tmp_path / "out").stat().st_mode == usual.stat().st_mode
