"""From lines in the OpenAI Batch format to jobs."""

import io
import itertools
from pathlib import Path

import orjson
import pytest

from forebay.cli.batch_lines import JobOptions, to_job
from forebay.cli.submission import Upload, fresh_key, idempotency_key
from shared.domain.errors import InvalidInput

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Name a river."}], "seed": 7}


class SilentMeter:
    def show(self, done: int, total: int, note: str = "") -> None:
        self.last = (done, total, note)


def line(**changes: object) -> bytes:
    members = {"custom_id": "r-1", "method": "POST", "url": "/v1/chat/completions", "body": BODY} | changes
    return orjson.dumps({name: value for name, value in members.items() if value is not None})


def test_a_line_becomes_a_job_with_its_body_untouched() -> None:
    assert to_job(line(), 3, JobOptions()) == {
        "endpoint": "/v1/chat/completions",
        "request": BODY,
        "metadata": {"custom_id": "r-1", "line": "3"},
    }


def test_the_options_of_the_command_go_to_every_job() -> None:
    job = to_job(line(), 1, JobOptions(priority="deferrable", within="24h"))
    assert job["priority"] == "deferrable"
    assert job["within"] == "24h"


@pytest.mark.parametrize(
    ("bad", "code", "said"),
    [
        (b"{oops", "invalid_json_line", "not JSON"),
        (b"[1]", "invalid_json_line", "not a JSON object"),
        (line(custom_id=None), "missing_required_parameter", "custom_id"),
        (line(custom_id=5), "invalid_type", "custom_id"),
        (line(custom_id=""), "invalid_type", "custom_id"),
        (line(method="GET"), "invalid_method", "POST"),
        (line(method=None), "invalid_method", "POST"),
        (line(url=None), "missing_required_parameter", "url"),
        (line(body=None), "missing_required_parameter", "body"),
    ],
)
def test_what_cannot_be_converted_is_named(bad: bytes, code: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        to_job(bad, 1, JobOptions())
    assert caught.value.error_code == code


def test_what_only_the_server_can_judge_is_forwarded() -> None:
    assert to_job(line(url="/v1/nonsense", body={"model": 5}), 1, JobOptions())["request"] == {"model": 5}


async def test_bad_lines_keep_their_numbers_and_the_good_ones_go_on() -> None:
    lines = [line(custom_id="a"), b"{oops", b"", line(custom_id="b"), line(custom_id="a"), line(custom_id="c")]
    meter = SilentMeter()
    upload = Upload(io.BytesIO(b"\n".join(lines)), JobOptions(), meter)
    sent = b"".join([chunk async for chunk in upload.chunks()]).splitlines()
    assert [orjson.loads(job)["metadata"]["custom_id"] for job in sent] == ["a", "b", "c"]
    assert [(bad.number, bad.code) for bad in upload.bad] == [(2, "invalid_json_line"), (5, "duplicate_custom_id")]
    assert meter.last[0] == meter.last[1]


async def test_a_line_rejected_by_the_server_is_found_again_in_the_file() -> None:
    lines = [b"{oops", b"", line(custom_id="a"), b"", line(custom_id="b")]
    upload = Upload(io.BytesIO(b"\n".join(lines)), JobOptions(), SilentMeter())
    assert [chunk async for chunk in upload.chunks()]
    (bad,) = upload.rejected([{"line": 2, "error": {"code": "model_not_found", "message": "no such model"}}])
    assert (bad.number, bad.custom_id, bad.code, bad.message) == (5, "b", "model_not_found", "no such model")


async def test_a_file_of_any_length_is_sent_in_small_pieces() -> None:
    file = io.BytesIO(b"\n".join(line(custom_id=str(number)) for number in range(3_000)))
    upload = Upload(file, JobOptions(), SilentMeter())
    sizes = [len(chunk) async for chunk in upload.chunks()]
    assert len(sizes) > 5
    assert max(sizes) < 70_000


def test_the_same_file_and_options_are_the_same_submission(tmp_path: Path) -> None:
    for name, content in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / name).write_bytes(content)
    bulk, plain = JobOptions(priority="bulk"), JobOptions()
    assert idempotency_key(tmp_path / "a", plain) == idempotency_key(tmp_path / "b", plain)
    others = [
        idempotency_key(tmp_path / "a", plain),
        idempotency_key(tmp_path / "c", plain),
        idempotency_key(tmp_path / "a", bulk),
        idempotency_key(tmp_path / "a", JobOptions(within="1h")),
        fresh_key(),
        fresh_key(),
    ]
    assert all(first != second for first, second in itertools.combinations(others, 2))
    assert all(len(key) <= 255 for key in others)
